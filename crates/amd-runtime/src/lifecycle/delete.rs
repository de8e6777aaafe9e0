//! `delete`: removes what is left of a container.

use libcontainer::config::YoukiConfig;
use libcontainer::container::State;
use libcontainer::hooks::run_hooks;

use super::status::Status;
use super::undo::recover;
use super::{ContainerId, Runtime};
use crate::error::{Error, Result, chain};
use crate::state::{ContainerDir, LOCK_PATIENCE, StateError};

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
        let _lock = match dir.lock(LOCK_PATIENCE) {
            Err(StateError::NotExist { .. }) if force => return Ok(()),
            lock => lock?,
        };
        let record = match dir.record() {
            // A create that was killed before it built anything, or a torn record.
            Err(StateError::NotExist { .. } | StateError::Torn { .. }) if force => {
                return Ok(dir.remove()?);
            }
            Err(err @ StateError::NotExist { .. }) => {
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
