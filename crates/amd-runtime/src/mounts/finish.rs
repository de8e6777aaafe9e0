//! What comes last: kernel parameters, mounts that become read-only, read-only and masked
//! paths.
//!
//! When: where runc does it (`finalizeRootfs` and after), by the container's init, once hooks
//! have run, pivot_root(2) has left the host's tree and the terminal is there. A prestart hook
//! makes the network device that a kernel parameter is about, and hooks write to what is
//! read-only for the container. libcontainer would do a part of it at the same place; it is
//! told of none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use libcontainer::oci_spec::runtime::Linux;

use super::attach::propagate;
use super::error::{Result, Step};
use super::plan::Plan;
use super::root::Root;
use super::{protect, sysctl};

/// All that is done last, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finish {
    /// Mounts that become read-only (see
    /// [`is_read_only_late`](super::plan::PlannedMount::is_read_only_late)).
    late: Vec<PathBuf>,
    /// `linux.sysctl`.
    sysctl: BTreeMap<String, String>,
    /// `linux.readonlyPaths`.
    readonly: Vec<PathBuf>,
    /// `linux.maskedPaths`.
    masked: Vec<PathBuf>,
    /// `linux.mountLabel`: the SELinux context of what masks directories.
    label: Option<String>,
    /// The propagation of all mounts, where it is not for the root alone: `MS_*`.
    propagation: Option<u64>,
}

impl Finish {
    /// What a spec has done last in the root filesystem of `plan`.
    pub fn of(linux: Option<&Linux>, plan: &Plan) -> Self {
        let late = plan.mounts.iter().filter(|mount| mount.is_read_only_late());
        // A path of the host below the root filesystem means the container's.
        let below = |path: &PathBuf| {
            let below = path.strip_prefix(&plan.rootfs).unwrap_or(path);
            Path::new("/").join(below)
        };
        let paths = |of: fn(&Linux) -> &Option<Vec<String>>| {
            let paths = linux.into_iter().filter_map(|linux| of(linux).as_ref());
            paths.flatten().map(PathBuf::from).collect()
        };
        let sysctl = linux.and_then(|linux| linux.sysctl().as_ref());
        Self {
            late: late.map(|mount| below(&mount.destination)).collect(),
            sysctl: sysctl.into_iter().flatten().map(owned).collect(),
            readonly: paths(Linux::readonly_paths),
            masked: paths(Linux::masked_paths),
            label: plan.label.clone(),
            propagation: of_all(plan.propagation),
        }
    }

    /// Does it to the root directory of this process, which is the container's.
    ///
    /// # Errors
    /// Names what could not be done.
    pub fn apply(&self) -> Result<()> {
        if *self == Self::default() {
            return Ok(());
        }
        let root = Root::open(Path::new("/")).step(|| "open the container's root".into())?;
        for mount in &self.late {
            protect::make_read_only(&root, mount)?;
        }
        sysctl::write(&self.sysctl)?;
        protect::read_only_paths(&root, &self.readonly)?;
        protect::mask_paths(&root, &self.masked, self.label.as_deref())?;
        match self.propagation {
            Some(propagation) => propagate(root.dir(), propagation),
            None => Ok(()),
        }
    }
}

/// `rshared` and `runbindable` are for all mounts of the container. libcontainer sets the type
/// of the root alone. Last of all, since nothing unbindable can be masked or made read-only.
fn of_all(propagation: u64) -> Option<u64> {
    let late = libc::MS_SHARED | libc::MS_UNBINDABLE;
    let is_late = propagation & libc::MS_REC != 0 && propagation & late != 0;
    is_late.then_some(propagation)
}

fn owned((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

#[cfg(test)]
mod tests {
    use libcontainer::oci_spec::runtime::Spec;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_done_last_is_taken_from_the_spec_and_names_paths_of_the_container() {
        let spec: Spec = serde_json::from_value(json!({
            "ociVersion": "1.0.2",
            "root": {"path": "rootfs"},
            "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}, "args": ["sh"]},
            "mounts": [
                {"destination": "/b/rootfs/run", "type": "tmpfs", "options": ["ro"]},
                {"destination": "/sys", "type": "sysfs", "options": ["ro"]},
            ],
            "linux": {
                "sysctl": {"net.ipv4.ip_forward": "1"}, "readonlyPaths": ["/proc/sys"],
                "maskedPaths": ["/proc/keys"], "mountLabel": "", "rootfsPropagation": "rshared",
            },
        }))
        .unwrap();
        let plan = Plan::of(&spec, Path::new("/b/rootfs"), Path::new("/b")).unwrap();
        let finish = Finish::of(spec.linux().as_ref(), &plan);
        let expected = Finish {
            late: vec!["/run".into()],
            sysctl: BTreeMap::from([("net.ipv4.ip_forward".into(), "1".into())]),
            readonly: vec!["/proc/sys".into()],
            masked: vec!["/proc/keys".into()],
            label: None,
            propagation: Some(libc::MS_SHARED | libc::MS_REC),
        };
        assert_eq!(finish, expected);
    }

    #[test]
    fn the_propagation_of_the_root_alone_is_left_to_libcontainer() {
        for (propagation, of_it) in [
            (0, None),
            (libc::MS_SHARED, None),
            (libc::MS_REC | libc::MS_PRIVATE, None),
            (
                libc::MS_REC | libc::MS_UNBINDABLE,
                Some(libc::MS_REC | libc::MS_UNBINDABLE),
            ),
        ] {
            assert_eq!(of_all(propagation), of_it);
        }
    }
}
