//! `linux.sysctl`: kernel parameters that a namespace has for itself.

use std::borrow::Cow;

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
    Ok(())
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
            false => refuse(format!(
                "sysctl {name:?} not allowed in host network namespace"
            )),
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
    use super::*;

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
