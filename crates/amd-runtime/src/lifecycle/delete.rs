//! `delete`: removes what is left of a container.

use std::path::{Path, PathBuf};
use std::time::Duration;

use libcontainer::config::YoukiConfig;
use serde_json::Value;

use super::specs::read_late_hooks;
use super::status::Status;
use super::undo::recover;
use super::{ContainerId, Runtime};
use crate::cgroup::{CgroupError, fs_driver_cgroup};
use crate::error::{Error, Result};
use crate::hooks::{self, HookState, When};
use crate::spec::effective::cgroups_path;
use crate::state::{ContainerDir, LOCK_PATIENCE, LockKind, Record, StateError, read_regular};

/// How long a forced delete lets a command go on that has signed the container's lock.
const FORCE_PATIENCE: Duration = Duration::from_secs(2);

impl Runtime {
    /// Deletes a container that is created or stopped, or with `force` any, killing it.
    ///
    /// `force` succeeds where there is no such container, clears what a killed `create` or a torn
    /// record left of it, and kills a `create` or `checkpoint` that hangs.
    ///
    /// # Errors
    /// Where the container runs and `force` is not given, or a part of it cannot be
    /// removed; the state then stays, so that the command can be repeated.
    pub fn delete(&self, id: &ContainerId, force: bool) -> Result<()> {
        let dir = self.root.container(id);
        let lock = if force {
            dir.lock_by_force(FORCE_PATIENCE)
        } else {
            dir.lock(LockKind::Exclusive, LOCK_PATIENCE)
        };
        let _lock = match lock {
            Err(StateError::NotExist { .. }) if force => return Ok(()),
            lock => lock?,
        };
        let record = match dir.record() {
            // A create that was killed before it built anything, or a torn record.
            Err(StateError::NotExist { .. } | StateError::Torn { .. }) if force => {
                recover_without_record(&dir)?;
                return Ok(dir.remove()?);
            }
            Err(err @ StateError::NotExist { .. }) => {
                recover_without_record(&dir)?;
                dir.remove()?;
                return Err(err.into());
            }
            record => record?,
        };
        let status = Status::of(&record);
        if !force && !matches!(status, Status::Stopped | Status::Created) {
            return Err(Error::Status(format!(
                "cannot delete container {id} that is not stopped: {status}"
            )));
        }
        remove(&dir, &record)
    }
}

/// Removes what is left of a container, whose lock the caller holds, and runs the hooks for that.
///
/// # Errors
/// As [`Runtime::delete`].
pub(super) fn remove(dir: &ContainerDir, record: &Record) -> Result<()> {
    recover(dir, record)?;
    run_poststop_hooks(dir, record);
    Ok(dir.remove()?)
}

/// Kills and removes the cgroup of a container whose record cannot be read. Without any other
/// file that names it, nothing was built.
fn recover_without_record(dir: &ContainerDir) -> Result<()> {
    let Some(path) = cgroups_path_on_file(dir) else {
        return Ok(());
    };
    let cgroup = match fs_driver_cgroup(&path) {
        // One of the systemd driver, or one that no create would have made.
        Err(CgroupError::Path { .. }) => return Ok(()),
        cgroup => cgroup?,
    };
    cgroup.kill()?;
    Ok(cgroup.remove()?)
}

/// `linux.cgroupsPath` as libcontainer was told of it, where that names a cgroup, in the effective
/// spec or, where they are torn as well, in libcontainer's own state.
fn cgroups_path_on_file(dir: &ContainerDir) -> Option<PathBuf> {
    let of_spec = |path: PathBuf| {
        let spec = serde_json::from_slice::<Value>(&read_regular(&path).ok()?).ok()?;
        Some(PathBuf::from(cgroups_path(&spec)))
    };
    let of_libcontainer = || Some(YoukiConfig::load(dir.libcontainer_dir()).ok()?.cgroup_path);
    // The root is told where cgroups are hidden (`crate::cgroup::hidden`).
    let names_one = |path: &PathBuf| !path.as_os_str().is_empty() && path != Path::new("/");
    [dir.config_path(), dir.spec_path()]
        .into_iter()
        .find_map(|path| of_spec(path).filter(names_one))
        .or_else(|| of_libcontainer().filter(names_one))
}

/// Runs the hooks that the spec has for after the container; as with runc, one that
/// fails is logged and changes nothing (OCI runtime spec, "Poststop").
///
/// Whoever deletes the container meanwhile waits for them, also by force: to run them twice, or one
/// beside its second run, is worse.
fn run_poststop_hooks(dir: &ContainerDir, record: &Record) {
    let Ok(hooks) = read_late_hooks(dir, record) else {
        return;
    };
    let state = HookState::of(record, 0, "stopped");
    if let Err(err) = hooks::run(When::Poststop, hooks.at(When::Poststop), &state, None, &[]) {
        tracing::warn!("container {}: {err}", dir.id());
    }
}
