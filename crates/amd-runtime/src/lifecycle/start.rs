//! `start`: lets the program of a created container go.

use std::io::Write as _;
use std::os::fd::AsFd;

use libcontainer::notify_socket::NOTIFY_FILE;
use serde_json::json;

use super::specs::read_late_hooks;
use super::status::Status;
use super::{ContainerId, Runtime};
use crate::error::{Error, Result};
use crate::hooks::{self, HookState, When};
use crate::process::{connect, receive};
use crate::seccomp::{Agent, Filter, SeccompError};
use crate::state::{ContainerDir, Phase, ProcessRef, Record};

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
        let let_go = let_go(&dir, &record);
        if matches!(let_go, Err(Error::Seccomp(_)))
            && let Some(init) = record.init
        {
            // It may not run without its agent. Gone already is as good.
            let _ = init.signal(libc::SIGKILL);
        }
        let_go?;
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
            // As runc does.
            let _ = init.signal(libc::SIGKILL);
        }
        Ok(ran?)
    }
}

/// Lets the init of a created container go on, to its program. Of a container with a
/// seccomp agent, passes the filter that the init then loads on to it.
///
/// The socket is libcontainer's; what is written to it does not matter.
fn let_go(dir: &ContainerDir, record: &Record) -> Result<()> {
    let listener = Filter::read(&dir.filter_path())?.and_then(|filter| filter.listener);
    let agent = match &listener {
        Some(listener) => {
            let agent = Agent::connect(listener)?;
            let failed = Error::system("cannot reach the init of the container");
            // Before the init is let go: it accepts the connection then.
            Some((agent, connect(&dir.agent_socket()).map_err(failed)?))
        }
        None => None,
    };
    connect(&dir.libcontainer_dir().join(NOTIFY_FILE))
        .and_then(|mut socket| socket.write_all(b"start container"))
        .map_err(Error::system("cannot start the container"))?;
    let Some((agent, init)) = agent else {
        return Ok(());
    };
    let received = receive(init.as_fd(), 64);
    match received.map_err(|errno| Error::system("cannot reach the init")(errno.into()))? {
        (_, Some(filter)) => {
            let pid = record.init.map_or(0, |init| init.pid);
            let state = HookState::of(record, pid, "running");
            Ok(agent.send(filter.as_fd(), pid, &json!(state))?)
        }
        // Its stderr says why.
        (_, None) => Err(Error::Seccomp(SeccompError::Profile(
            "the container's init did not load its filter".into(),
        ))),
    }
}
