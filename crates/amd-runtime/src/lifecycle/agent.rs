//! The seccomp agent of a container that is created. It has the filter before the container
//! counts as created, as with runc: an agent may well wait for it before it has the container
//! started.

use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use libcontainer::notify_socket::NOTIFY_FILE;
use serde_json::json;

use crate::error::{Error, Result};
use crate::hooks::HookState;
use crate::process::{EarlyFilter, Plan, connect, receive, send_to};
use crate::seccomp::{Agent, Listener};
use crate::state::{ContainerDir, Record};

/// The longest reason that an init gives for having no filter.
const LIMIT: usize = 4096;

/// Lets the init of a created container go on, from where libcontainer has it wait.
///
/// # Errors
/// Where nobody waits.
pub fn let_go(dir: &ContainerDir) -> std::io::Result<()> {
    // What is written does not matter.
    connect(&dir.libcontainer_dir().join(NOTIFY_FILE))?.write_all(b"start container")
}

/// Starts the program of a created container.
///
/// # Errors
/// Where its init is gone.
pub fn start(dir: &ContainerDir, record: &Record) -> std::io::Result<()> {
    match record.filter_is_loaded {
        true => send_to(&dir.start_socket(), b"s"),
        false => let_go(dir),
    }
}

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
