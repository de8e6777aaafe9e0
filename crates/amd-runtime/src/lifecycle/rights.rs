//! The steps of create in which a container of a caller without the rights of the host's root
//! differs from others, see [`crate::rootless`].

use std::io::ErrorKind;
use std::path::Path;

use discovery::edits::DeviceNode;
use libcgroups::common::{CgroupSetup, get_cgroup_setup};

use super::devices::Devices;
use super::grant::Grant;
use super::{ContainerId, Runtime};
use crate::cgroup::systemd::Unit;
use crate::cgroup::{Cgroup, CgroupError, fs_driver_cgroup};
use crate::device_cgroup::{Enforcement, enforce};
use crate::error::{Error, Result, chain};
use crate::mounts::granted_nodes::ContainerRoot;

/// What the kernel shows for a group that a user namespace does not map (user_namespaces(7),
/// `/proc/sys/kernel/overflowgid`).
const OVERFLOW_GID: u32 = 65534;

impl Runtime {
    /// The cgroup of a container with this `linux.cgroupsPath`, and its unit under systemd.
    /// None of the fs driver's for a caller who may make none; one that the spec names, `named`,
    /// is not ignored.
    pub(super) fn cgroup_of(&self, path: &Path, named: bool) -> Result<(Cgroup, Option<Unit>)> {
        if !self.systemd_cgroup {
            let cgroup = fs_driver_cgroup(path);
            if named || !self.rootless.tolerates_missing_cgroups() {
                return Ok((cgroup?, None));
            }
            let cgroup = match cgroup {
                Ok(cgroup) if cgroup.is_within_reach() => cgroup,
                Ok(_) | Err(CgroupError::NoHierarchy) => {
                    tracing::debug!("the container gets no cgroup: this user may make none");
                    Cgroup::default()
                }
                Err(err) => return Err(err.into()),
            };
            return Ok((cgroup, None));
        }
        let bad_path = || {
            Error::Usage(format!(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, \
                 got {path:?} instead"
            ))
        };
        let unit = Unit::of(path).ok_or_else(bad_path)?;
        if unit.is_slice() {
            let path = path.to_owned();
            return Err(CgroupError::Slice { path }.into());
        }
        let unified = matches!(get_cgroup_setup(), Ok(CgroupSetup::Unified));
        if !unified || !Path::new("/run/systemd/system").is_dir() {
            return Err(Error::Usage(
                "systemd cgroup flag passed, but systemd support for managing cgroups is not \
                 available: it needs a host booted with systemd and cgroup v2"
                    .into(),
            ));
        }
        let dir = unit.dir().map_err(CgroupError::from)?;
        let dir = dir.ok_or_else(bad_path)?;
        Ok((Cgroup::new(vec![dir]), Some(unit)))
    }

    /// The groups of a grant that the container's processes get. Those that have no number in the
    /// user namespace of a rootless container can only be kept, with
    /// `run.oci.keep_original_groups`.
    pub(super) fn gids_of(&self, grant: &Grant) -> Vec<u32> {
        let mut gids = grant.gids.clone();
        if self.rootless.tolerates_missing_rules() {
            gids.retain(|gid| *gid != OVERFLOW_GID);
        }
        gids
    }

    /// Enforces the device rules of a container. Returns `None` where that is not possible for a
    /// container that needs none, see [`crate::rootless`]; one with GPUs then deserves a warning.
    pub(super) fn enforce(
        &self,
        id: &ContainerId,
        pid: i32,
        devices: &mut Devices,
    ) -> Result<Option<Enforcement>> {
        match enforce(pid, &devices.table, devices.program.take()) {
            Err(err) if self.rootless.tolerates_missing_rules() => {
                let message = format!(
                    "container {id} is rootless, and its device rules are not enforced: it can use \
                     the device nodes that are mounted into it, and can make no others"
                );
                match devices.granted_nodes[..] {
                    [] => tracing::debug!("{message}"),
                    _ => tracing::warn!("{message}"),
                }
                tracing::debug!("{}", chain(&err));
                Ok(None)
            }
            enforced => Ok(Some(enforced?)),
        }
    }

    /// Checks that the granted nodes are the GPUs'. A plain user may not look into the container;
    /// its nodes are mounts of the host's, whose numbers were compared before they were mounted.
    pub(super) fn check_nodes(&self, pid: i32, nodes: &[DeviceNode]) -> Result<()> {
        match ContainerRoot::of(pid) {
            Err(Error::Io { source, .. })
                if source.kind() == ErrorKind::PermissionDenied
                    && self.rootless.tolerates_missing_rules() =>
            {
                Ok(())
            }
            root => root?.check_nodes(nodes),
        }
    }
}

/// Sees to it that the init of a container is in its cgroup: libcontainer takes it for no error
/// where it may not put it there.
pub(super) fn must_be_in(
    cgroup: &Cgroup,
    init: i32,
    unit: Option<&Unit>,
) -> Result<(), CgroupError> {
    let Some(dir) = cgroup.dirs().first() else {
        return Ok(());
    };
    if cgroup.pids()?.contains(&init) {
        return Ok(());
    }
    if let (Some(unit), Ok(pid)) = (unit, u32::try_from(init)) {
        unit.attach(pid)?;
    }
    match cgroup.pids()?.contains(&init) {
        true => Ok(()),
        false => Err(CgroupError::NotJoined { dir: dir.clone() }),
    }
}
