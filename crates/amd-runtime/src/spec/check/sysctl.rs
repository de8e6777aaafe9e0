//! `linux.sysctl`: kernel parameters that a namespace has for itself.

use std::borrow::Cow;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use super::{SpecError, items, refuse, text};

/// Parameters of an IPC namespace (ipc_namespaces(7)).
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// The network namespace of this process.
const OWN_NETWORK: &str = "/proc/self/ns/net";

/// Checks the kernel parameters of a spec: only those are set that are of one of the
/// container's namespaces (runc's `sysctl` of its configuration validator).
pub(super) fn check(linux: &Value) -> Result<(), SpecError> {
    let Some(parameters) = linux.get("sysctl").and_then(Value::as_object) else {
        return Ok(());
    };
    let has = |kind: &str| {
        items(linux, "namespaces")
            .iter()
            .any(|ns| text(ns, "type") == kind)
    };
    for name in parameters.keys() {
        check_parameter(&with_dots(name), has)?;
    }
    let is_of_network = |name: &String| with_dots(name).starts_with("net.");
    match parameters.keys().find(|name| is_of_network(name)) {
        Some(name) => check_network(linux, name),
        None => Ok(()),
    }
}

/// A network namespace at a path can be the one that the runtime is in, and so the host's.
fn check_network(linux: &Value, name: &str) -> Result<(), SpecError> {
    let namespaces = items(linux, "namespaces").iter();
    let mut network = namespaces.filter(|ns| text(ns, "type") == "network");
    let path = network.next().map_or("", |ns| text(ns, "path"));
    if path.is_empty() {
        return Ok(());
    }
    match is_same_file(path, OWN_NETWORK) {
        Ok(false) => Ok(()),
        Ok(true) => refuse(in_host_network(&with_dots(name))),
        Err(err) => refuse(format!("invalid netns path: {err}")),
    }
}

fn is_same_file(path: &str, other: &str) -> io::Result<bool> {
    let identity = |path: &str| {
        let stat = fs::metadata(path);
        let stat = stat.map_err(|err| io::Error::new(err.kind(), format!("stat {path}: {err}")))?;
        io::Result::Ok((stat.dev(), stat.ino()))
    };
    Ok(identity(path)? == identity(other)?)
}

fn in_host_network(name: &str) -> String {
    format!("sysctl {name:?} not allowed in host network namespace")
}

fn check_parameter(name: &str, has: impl Fn(&str) -> bool) -> Result<(), SpecError> {
    if IPC.contains(&name) || name.starts_with("fs.mqueue.") {
        return match has("ipc") {
            true => Ok(()),
            false => refuse(format!(
                "sysctl {name:?} is not allowed in the hosts ipc namespace"
            )),
        };
    }
    if name.starts_with("net.") {
        return match has("network") {
            true => Ok(()),
            false => refuse(in_host_network(name)),
        };
    }
    if has("uts") && name == "kernel.domainname" {
        return Ok(());
    }
    if has("uts") && name == "kernel.hostname" {
        return refuse(format!(
            "sysctl {name:?} is not allowed as it conflicts with the OCI \"hostname\" field"
        ));
    }
    if name.starts_with("user.") {
        return match has("user") {
            true => Ok(()),
            false => refuse(format!(
                "setting ucounts without a user namespace not allowed: {name}"
            )),
        };
    }
    refuse(format!(
        "sysctl {name:?} is not in a separate kernel namespace"
    ))
}

/// The name with dots between its parts (sysctl.d(5)): where the first separator is a
/// slash, slashes separate, and dots are part of a name, as of a network interface.
fn with_dots(name: &str) -> Cow<'_, str> {
    match name.find(['.', '/']) {
        Some(first) if name.as_bytes()[first] == b'/' => name
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect(),
        _ => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_network_namespace_at_a_path_is_not_to_be_the_runtimes_own() {
        let tmp = tempfile::tempdir().unwrap();
        let link = tmp.path().join("net");
        std::os::unix::fs::symlink(OWN_NETWORK, &link).unwrap();
        let link = link.to_str().unwrap();
        // Any other file is another namespace, for all that is looked at here.
        let other = tmp.path().to_str().unwrap();
        let host = "not allowed in host network namespace";
        for (name, path, says) in [
            ("net.ipv4.ip_forward", "", None),
            ("net.ipv4.ip_forward", other, None),
            ("net.ipv4.ip_forward", OWN_NETWORK, Some(host)),
            ("net/ipv4/ip_forward", link, Some(host)),
            (
                "net.ipv4.ip_forward",
                "/no/such",
                Some("invalid netns path: stat /no/such: "),
            ),
            ("kernel.domainname", OWN_NETWORK, None),
        ] {
            let namespaces = json!([{"type": "uts"}, {"type": "network", "path": path}]);
            let linux = json!({"namespaces": namespaces, "sysctl": {name: "0"}});
            let message = check(&linux).err().map(|err| err.to_string());
            let is_right = match (&message, says) {
                (None, None) => true,
                (Some(message), Some(says)) => message.contains(says),
                _ => false,
            };
            assert!(is_right, "{name} {path}: {message:?}");
        }
    }

    #[test]
    fn slashes_can_separate_the_parts_of_a_name() {
        assert_eq!(with_dots("net.ipv4.ip_forward"), "net.ipv4.ip_forward");
        assert_eq!(
            with_dots("net/ipv4/conf/eno2.100"),
            "net.ipv4.conf.eno2/100"
        );
        assert_eq!(with_dots("kernel"), "kernel");
    }
}
