//! `start`: lets the program of a created container go.

use std::io::{self, Write as _};

use libcontainer::notify_socket::NOTIFY_FILE;

use super::specs::read_late_hooks;
use super::status::Status;
use super::{ContainerId, Runtime};
use crate::error::{Error, Result, chain};
use crate::hooks::{self, HookState, When};
use crate::process::{connect, send_to};
use crate::state::{ContainerDir, Phase, Record};

impl Runtime {
    /// Starts the program of a created container and runs its poststart hooks.
    ///
    /// # Errors
    /// Where the container is not `created`, its device rules are not on record as enforced,
    /// or its GPUs are another's since its `create` was killed.
    pub fn start(&self, id: &ContainerId) -> Result<()> {
        let (dir, mut record, lock) = self.load_locked(id)?;
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
        start(&dir, &record).map_err(Error::system("cannot start the container"))?;
        record.phase = Phase::Started;
        // The program runs, which anybody can see without the record.
        if let Err(err) = dir.save(&record) {
            tracing::warn!("container {id}: {}", chain(&err));
        }
        // Hooks can use the container, and hang.
        drop(lock);
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

/// Starts the program of a created container, whose init waits where libcontainer has it wait, or
/// past that.
fn start(dir: &ContainerDir, record: &Record) -> io::Result<()> {
    match record.filter_is_loaded {
        true => send_to(&dir.start_socket(), b"s"),
        false => let_go(dir),
    }
}

/// Lets the init of a built container go on, from where libcontainer has it wait.
///
/// # Errors
/// Where nobody waits.
pub(super) fn let_go(dir: &ContainerDir) -> io::Result<()> {
    // What is written does not matter.
    connect(&dir.libcontainer_dir().join(NOTIFY_FILE))?.write_all(b"start container")
}
