//! `start`: lets the program of a created container go.

use super::agent;
use super::specs::read_late_hooks;
use super::status::Status;
use super::{ContainerId, Runtime};
use crate::error::{Error, Result};
use crate::hooks::{self, HookState, When};
use crate::state::{Phase, ProcessRef};

impl Runtime {
    /// Starts the program of a created container and runs its poststart hooks.
    ///
    /// # Errors
    /// Where the container is not `created`, its device rules are not on record as enforced,
    /// or its GPUs are another's since its `create` was killed.
    pub fn start(&self, id: &ContainerId) -> Result<()> {
        let (dir, mut record, lock) = self.load_locked(id)?;
        // Its hooks can hang.
        if let Some(own) = ProcessRef::own() {
            lock.sign(own)
                .map_err(Error::system("cannot sign the lock"))?;
        }
        match Status::of(&record) {
            Status::Created => {}
            // runc's words.
            Status::Stopped => {
                return Err(Error::Status(
                    "cannot start a container that has stopped".into(),
                ));
            }
            Status::Running => {
                return Err(Error::Status(
                    "cannot start an already running container".into(),
                ));
            }
            other => {
                return Err(Error::Status(format!(
                    "cannot start a container in the {other} state"
                )));
            }
        }
        if record.enforcement.is_none() && !record.nodes_only {
            return Err(Error::Status(format!(
                "container {id:?}: its device rules were never enforced, and so it does not start",
                id = id.as_str()
            )));
        }
        self.check_reserved(&record)?;
        let hooks = read_late_hooks(&dir, &record)?;
        agent::start(&dir, &record).map_err(Error::system("cannot start the container"))?;
        record.phase = Phase::Started;
        dir.save(&record)?;
        let pid = record.init.map_or(0, |init| init.pid);
        let state = HookState::of(&record, pid, "running");
        let ran = hooks::run(
            When::Poststart,
            hooks.at(When::Poststart),
            &state,
            None,
            &[],
        );
        if ran.is_err()
            && let Some(init) = record.init
        {
            // The container is stopped (runtime.md, "Lifecycle"), and whoever started it deletes it.
            let _ = init.signal(libc::SIGKILL);
        }
        Ok(ran?)
    }
}
