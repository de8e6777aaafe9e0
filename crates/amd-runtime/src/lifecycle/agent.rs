//! The seccomp agent of a container that is created. It has the filter before the container
//! counts as created, as with runc: an agent may well wait for it before it has the container
//! started.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use serde_json::json;

use super::start::let_go;
use crate::error::{Error, Result};
use crate::hooks::HookState;
use crate::process::{EarlyFilter, Plan, receive};
use crate::seccomp::{Agent, Listener};
use crate::state::{ContainerDir, Record};

/// The longest reason that an init gives for having no filter.
const LIMIT: usize = 4096;

/// An init that is to load its filter before `start`.
#[derive(Debug)]
pub struct AwaitedFilter {
    init: UnixStream,
    listener: Listener,
}

impl AwaitedFilter {
    /// That of `plan`, and the init's side of it; `None` where it has no agent.
    ///
    /// # Errors
    /// Where the sockets for it cannot be made.
    pub fn of(plan: &Plan, dir: &ContainerDir) -> Result<Option<(Self, EarlyFilter)>> {
        let listener = plan
            .filter
            .as_ref()
            .and_then(|filter| filter.listener.clone());
        let Some(listener) = listener else {
            return Ok(None);
        };
        let (theirs, init) = EarlyFilter::new(&dir.start_socket())
            .map_err(Error::system("cannot listen for the start"))?;
        Ok(Some((Self { init, listener }, theirs)))
    }

    /// Has the built init load its filter, and passes it on to the agent. `record` is the
    /// container's, with its init.
    ///
    /// # Errors
    /// Where the agent is not there, or the kernel refuses the filter.
    pub fn pass_on(self, dir: &ContainerDir, record: &mut Record) -> Result<()> {
        let agent = Agent::connect(&self.listener)?;
        let failed = || Error::system("cannot reach the init of the container");
        let_go(dir).map_err(failed())?;
        record.filter_is_loaded = true;
        let received = receive(self.init.as_fd(), LIMIT);
        let (why, filter) = received.map_err(|errno| failed()(errno.into()))?;
        match filter {
            Some(filter) => {
                let pid = record.init.map_or(0, |init| init.pid);
                let state = HookState::of(record, pid, "creating");
                Ok(agent.send(filter.as_fd(), pid, &json!(state))?)
            }
            None if why.is_empty() => Err(Error::Process(
                "the container's init is gone before its seccomp filter could be passed on".into(),
            )),
            None => Err(Error::Process(String::from_utf8_lossy(&why).into_owned())),
        }
    }
}
