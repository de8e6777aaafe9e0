//! Running without the rights of the host's root: as a plain user, or as root of a user namespace
//! (podman rootless, `unshare -Ur`, a container in a container).
//!
//! Two things are different then. Cgroups can be out of reach: a container that was not given a
//! `linux.cgroupsPath` stays in its caller's, as with runc. And the device rules are nobody's to
//! enforce; what keeps the container from other GPUs is that the kernel lets no user namespace make
//! device nodes (mknod(2), EPERM) and that it has only those that were mounted for it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::lifecycle::DEFAULT_ROOT;
use crate::process::{capabilities, in_user_namespace};

/// When permission errors of cgroups are ignored: `--rootless`, as runc has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rootless {
    /// Where this process has not the rights of the host's root.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never: what cannot be enforced is an error.
    Never,
}

impl Rootless {
    /// Whether cgroups may be out of reach.
    pub fn tolerates_missing_cgroups(self) -> bool {
        match self {
            Self::Auto => no_nodes_can_be_made(),
            Self::Always => true,
            Self::Never => false,
        }
    }

    /// Whether a container can do with the nodes that it gets, its device rules not enforced.
    pub fn tolerates_missing_rules(self) -> bool {
        self != Self::Never && no_nodes_can_be_made()
    }
}

/// Whether every container of this process is in a user namespace other than the host's, in which
/// no device node can be made: it is in one itself, or is a plain user, who can make no other.
pub(crate) fn no_nodes_can_be_made() -> bool {
    !geteuid().is_root() || in_user_namespace()
}

/// Where state is kept unless told otherwise: in the runtime directory of a user who has one and is
/// not root of the host, nor called so, as an engine in a container is.
pub fn default_root() -> PathBuf {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let own = variable("XDG_RUNTIME_DIR").filter(|_| {
        let is_root = variable("USER").is_some_and(|user| user == "root");
        !geteuid().is_root() || (in_user_namespace() && !is_root)
    });
    match own {
        Some(dir) => Path::new(&dir).join("amd-container-runtime"),
        None => DEFAULT_ROOT.into(),
    }
}

/// Moves the process of a plain user to a user namespace in which this user is root, and to a mount
/// namespace, as podman does for the runtimes that it calls. Does nothing for a process that has
/// such rights where it is.
///
/// To be followed by an execve(2): only of a program that was executed in the namespace may its
/// processes look into each other in /proc, as libcontainer's must, which are not dumpable
/// (ptrace(2), "Ptrace access mode checking").
///
/// # Errors
/// [`Error::NoUserNamespace`] where the host gives none to this user.
pub fn become_root() -> Result<()> {
    let become_root = || -> io::Result<()> {
        if geteuid().is_root() || capabilities::is_effective(capabilities::SYS_ADMIN)? {
            return Ok(());
        }
        enter_own_namespace()
    };
    become_root().map_err(Error::NoUserNamespace)
}

fn enter_own_namespace() -> io::Result<()> {
    let (uid, gid) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    fs::write("/proc/thread-self/setgroups", "deny")?;
    fs::write("/proc/thread-self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/thread-self/gid_map", format!("0 {gid} 1"))
}

/// Makes of the ids of the host in the mappings of a spec those of this user namespace, where it
/// maps one user alone: what a plain user's spec says of that user is said of root here.
///
/// # Errors
/// Where a mapping is of another id, or of several: the kernel would refuse it.
pub fn translate_mappings(spec: &mut Value) -> Result<()> {
    for (map, mappings) in [("uid_map", "uidMappings"), ("gid_map", "gidMappings")] {
        let map = fs::read_to_string(Path::new("/proc/self").join(map)).unwrap_or_default();
        let Some(own) = the_only_id(&map) else {
            continue;
        };
        let list = spec["linux"].get_mut(mappings);
        for mapping in list.and_then(Value::as_array_mut).into_iter().flatten() {
            let host = &mapping["hostID"];
            if mapping["size"] != 1 || (*host != own && *host != 0) {
                return Err(Error::ForeignIds { mappings, own });
            }
            mapping["hostID"] = 0.into();
        }
    }
    Ok(())
}

/// The number of this process's user outside of its user namespace, to the host as a rule.
pub(crate) fn user_outside() -> u32 {
    let own = geteuid().as_raw();
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    outside_of(&map, own).unwrap_or(own)
}

/// What a uid_map or gid_map makes of `id` (user_namespaces(7)).
pub(crate) fn outside_of(map: &str, id: u32) -> Option<u32> {
    map.lines().find_map(|line| {
        let mut fields = line.split_whitespace().map(str::parse::<u32>);
        let (inside, outside, size) = (
            fields.next()?.ok()?,
            fields.next()?.ok()?,
            fields.next()?.ok()?,
        );
        let at = id.checked_sub(inside).filter(|at| *at < size)?;
        outside.checked_add(at)
    })
}

/// The id outside of a namespace whose uid_map or gid_map has one id, 0.
fn the_only_id(map: &str) -> Option<u32> {
    let fields: Vec<&str> = map.split_whitespace().collect();
    match fields[..] {
        ["0", outside, "1"] => outside.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_enforced_for_the_root_of_the_host_whatever_is_asked_for() {
        let plain = no_nodes_can_be_made();
        assert_eq!(Rootless::Always.tolerates_missing_rules(), plain);
        assert_eq!(Rootless::Auto.tolerates_missing_rules(), plain);
        assert!(Rootless::Always.tolerates_missing_cgroups());
    }

    #[test]
    fn a_namespace_with_one_id_is_told_from_all_others() {
        for (map, outside) in [
            ("         0       1000          1\n", Some(1000)),
            ("0 0 4294967295", None),
            ("0 1000 1\n1 100000 65536", None),
            ("1000 1000 1", None),
            ("", None),
        ] {
            assert_eq!(the_only_id(map), outside, "{map:?}");
        }
    }

    #[test]
    fn an_id_outside_is_found_in_its_range() {
        let map = "0 1000 1\n1 100000 65536\n";
        for (id, outside) in [(0, Some(1000)), (1, Some(100_000)), (65537, None)] {
            assert_eq!(outside_of(map, id), outside, "{id}");
        }
    }

    #[test]
    fn never_means_that_all_is_enforced() {
        assert!(!Rootless::Never.tolerates_missing_rules());
        assert!(!Rootless::Never.tolerates_missing_cgroups());
    }

    #[test]
    fn ids_are_those_of_the_line_that_has_them() {
        let map = "         0     100000      65536\n     70000       5000          1\n";
        for (inside, outside) in [
            (0, Some(100_000)),
            (109, Some(100_109)),
            (65535, Some(165_535)),
            (65536, None),
            (70000, Some(5000)),
            (70001, None),
        ] {
            assert_eq!(outside_of(map, inside), outside, "{inside}");
        }
        assert_eq!(outside_of("0 4294967295 2\n", 1), None);
        assert_eq!(outside_of("", 0), None);
    }
}
