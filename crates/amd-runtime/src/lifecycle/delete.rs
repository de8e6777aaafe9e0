//! `delete`: removes what is left of a container.

use std::fs;
use std::path::Path;

use libcontainer::config::YoukiConfig;
use libcontainer::container::State;
use libcontainer::hooks::run_hooks;
use serde_json::Value;

use super::status::Status;
use super::undo::recover;
use super::{ContainerId, Runtime};
use crate::cgroup::{Cgroup, fs_driver_dirs};
use crate::error::{Error, Result, chain};
use crate::spec::effective::cgroups_path;
use crate::state::{ContainerDir, LOCK_PATIENCE, LockKind, StateError};

impl Runtime {
    /// Deletes a container that is created or stopped, or with `force` any, killing it.
    ///
    /// `force` succeeds where there is no such container, and clears what a killed
    /// `create` or a torn record left of it.
    ///
    /// # Errors
    /// Where the container runs and `force` is not given, or a part of it cannot be
    /// removed; the state then stays, so that the command can be repeated.
    pub fn delete(&self, id: &ContainerId, force: bool) -> Result<()> {
        let dir = self.root.container(id);
        let _lock = match dir.lock(LockKind::Exclusive, LOCK_PATIENCE) {
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
        recover(&record)?;
        run_poststop_hooks(&dir);
        Ok(dir.remove()?)
    }
}

/// Kills and removes what the effective spec of a container says is its own, where the
/// record cannot be read. Without an effective spec nothing was built.
fn recover_without_record(dir: &ContainerDir) -> Result<()> {
    let Ok(bytes) = fs::read(dir.config_path()) else {
        return Ok(());
    };
    let spec: Value = serde_json::from_slice(&bytes).map_err(|source| StateError::Torn {
        id: dir.id().to_string(),
        path: dir.config_path(),
        source,
    })?;
    let cgroup = Cgroup::new(fs_driver_dirs(Path::new(cgroups_path(&spec)))?);
    cgroup.kill()?;
    Ok(cgroup.remove()?)
}

/// Runs the hooks that the spec has for after the container; as with runc, one that
/// fails is logged and changes nothing (OCI runtime spec, "Poststop").
fn run_poststop_hooks(dir: &ContainerDir) {
    let Ok(config) = YoukiConfig::load(dir.libcontainer_dir()) else {
        return;
    };
    let Some(hooks) = config
        .hooks
        .as_ref()
        .and_then(|hooks| hooks.poststop().as_ref())
    else {
        return;
    };
    let ran = State::load(&dir.libcontainer_dir())
        .map_err(|err| chain(&err))
        .and_then(|mut state| {
            state.status = libcontainer::container::ContainerStatus::Stopped;
            run_hooks(Some(hooks), Some(&state), None, None, None).map_err(|err| chain(&err))
        });
    if let Err(err) = ran {
        tracing::warn!("poststop hooks of container {}: {err}", dir.id());
    }
}
