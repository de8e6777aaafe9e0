//! One more process in a container.
//!
//! libcontainer's tenant builder is not used: it does not join the user namespace, drops
//! what `linux` says beside namespaces, knows one cgroup for all controllers, wants a
//! container that runs, leaves a socket in the state directory, and gives no way to do
//! anything between the making of the process and its program. What is left to do is
//! here: the runtime forks a process that joins the namespaces and forks the one that becomes the
//! program. That one alone is in the container's cgroups: by birth on v2 (see
//! [`birth`](crate::cgroup::birth)), else it is put there, which no limit of processes prevents.

mod cgroups;
mod child;
mod link;
mod namespaces;

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};
use serde_json::{Value, json};

pub use cgroups::SubCgroups;

use super::plan::Plan;
use super::{affinity, connect_to, rlimits, runc_log, socket};
use crate::cgroup::visit::join;
use crate::error::{Error, Result};
use crate::hooks::HookState;
use crate::seccomp::Agent;
use crate::state::ProcessRef;
use link::{Forked, Link, Message};
use namespaces::Namespaces;

/// A process to be executed.
#[derive(Debug)]
pub struct Request<'a> {
    /// The process.
    pub plan: &'a Plan,
    /// The effective spec of its container.
    pub spec: &'a Value,
    /// The init of its container.
    pub init: ProcessRef,
    /// The cgroups that it starts in.
    pub cgroups: &'a [PathBuf],
    /// Those of hierarchies without a controller of its own, in which it is, too.
    pub visited: &'a [PathBuf],
    /// Whether they were asked for, so that no other will do.
    pub cgroups_asked_for: bool,
    /// Where its terminal is sent, for one that has a terminal.
    pub console_socket: Option<&'a Path>,
    /// Where a descriptor of the process is sent.
    pub pidfd_socket: Option<&'a Path>,
    /// The state of its container, for a seccomp agent.
    pub state: &'a HookState,
}

/// Makes the process. `is_in_cgroup` is called when it is in its cgroup, and `ready` when it has
/// everything but its program; the program starts when that is done.
///
/// The calling process must have one thread.
///
/// # Errors
/// Where the process cannot be made, or its program cannot be started; there is no
/// process then.
pub fn exec(
    request: &Request<'_>,
    is_in_cgroup: impl FnOnce(),
    ready: impl FnOnce(ProcessRef) -> Result<()>,
) -> Result<ProcessRef> {
    let plan = request.plan;
    let namespaces = Namespaces::of(&request.init, request.spec)
        .map_err(Error::system("cannot open the namespaces of the container"))?;
    let console = request.console_socket.map(connect_to).transpose()?;
    let pidfd_socket = request.pidfd_socket.map(connect_to).transpose()?;
    let listener = plan
        .filter
        .as_ref()
        .and_then(|filter| filter.listener.as_ref());
    let agent = listener.map(Agent::connect).transpose()?;

    let failed = |what: &str| {
        let what = what.to_owned();
        move |errno: Errno| Error::system(what)(errno.into())
    };
    let place = cgroups::birthplace(request.cgroups);
    runc_log::begins();
    let (link, theirs) = Link::pair().map_err(failed("socketpair"))?;
    #[allow(unsafe_code)]
    // SAFETY: this process has one thread, as the caller promises: the child can go on as
    // this one could.
    let forked = unsafe { fork() }.map_err(failed("cannot fork"))?;
    let ForkResult::Parent { child } = forked else {
        drop(link);
        child::run(plan, namespaces, place, console, &theirs);
    };
    drop((theirs, namespaces, place, console));
    let mut children = Children(vec![child]);
    let pid = children.fork_into(request, &link, child)?;
    is_in_cgroup();
    let process = children.guide(plan, &link, pid, pidfd_socket, ready)?;
    start(&link, agent, request.state, process)?;
    children.0.clear();
    Ok(process)
}

/// The processes that were forked: killed and reaped where the exec fails. One that nobody
/// reaps would keep the container's init from ending.
struct Children(Vec<Pid>);

impl Children {
    /// Lets `child` join the namespaces and fork the process, and sees to it that this is in its
    /// cgroups. Returns its pid.
    fn fork_into(&mut self, request: &Request<'_>, link: &Link, child: Pid) -> Result<i32> {
        let plan = request.plan;
        if let Some(cpus) = &plan.affinity.initial {
            affinity::set_affinity(child.as_raw(), cpus).map_err(|errno| {
                Error::system("error setting initial CPU affinity")(errno.into())
            })?;
        }
        runc_log::affinity(child.as_raw());
        if let Some(score) = plan.oom_score_adj {
            let path = PathBuf::from(format!("/proc/{child}/oom_score_adj"));
            fs::write(&path, score.to_string()).map_err(|source| Error::Io {
                what: "cannot write",
                path,
                source,
            })?;
        }
        go(link)?;
        let Some(Message::Forked(Forked { pid, is_in_cgroup })) = next(link)? else {
            return Err(gone("the process that joins the container"));
        };
        self.0.push(Pid::from_raw(pid));
        let _ = waitpid(child, None);
        self.0.remove(0);
        if !is_in_cgroup {
            let init = (!request.cgroups_asked_for).then_some(request.init.pid);
            cgroups::enter(request.cgroups, pid, init)?;
        }
        for dir in request.visited {
            // One that stays out is not out of any limit.
            if let Err(err) = join(dir, pid) {
                tracing::warn!("cannot join cgroup {dir:?}: {err}");
            }
        }
        Ok(pid)
    }

    /// Leads the process to the point where its program can start.
    fn guide(
        &mut self,
        plan: &Plan,
        link: &Link,
        pid: i32,
        pidfd_socket: Option<UnixStream>,
        ready: impl FnOnce(ProcessRef) -> Result<()>,
    ) -> Result<ProcessRef> {
        go(link)?;
        let process = ProcessRef::of(pid).ok_or_else(|| gone("the process in the container"))?;
        let Some(Message::Ready) = next(link)? else {
            return Err(gone("the process in the container"));
        };
        runc_log::is_in_init();
        match &plan.affinity {
            affinity::Affinity {
                last: Some(cpus), ..
            } => {
                affinity::set_affinity(pid, cpus).map_err(|errno| {
                    Error::system("error setting final CPU affinity")(errno.into())
                })?;
            }
            affinity::Affinity { initial: None, .. } => affinity::reset_affinity(pid),
            affinity::Affinity { .. } => {}
        }
        rlimits::set_limits(pid, &plan.rlimits).map_err(|err| Error::Process(err.to_string()))?;
        if let Some(socket) = pidfd_socket {
            send_pidfd(&socket, process, "setns")?;
        }
        ready(process)?;
        Ok(process)
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        for pid in self.0.drain(..) {
            // One that is gone already still has to be reaped.
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
            let _ = waitpid(pid, None);
        }
    }
}

fn gone(what: &str) -> Error {
    Error::System {
        what: what.to_owned(),
        source: Errno::ESRCH.into(),
    }
}

/// Sends a pidfd of a process to a socket of the engine's (`--pidfd-socket`). `kind` goes
/// with it, as with runc: `standard` for an init, `setns` for an executed process.
///
/// # Errors
/// Where the process or the engine is gone.
pub fn send_pidfd(socket: &UnixStream, process: ProcessRef, kind: &str) -> Result<()> {
    process
        .open()
        .and_then(|pidfd| socket::send_fd(socket.as_fd(), kind.as_bytes(), pidfd.as_fd()))
        .map_err(|errno| Error::system("failed to send pidfd on socket")(errno.into()))
}

/// Lets the program start; `Ok` when it runs.
fn start(
    link: &Link,
    mut agent: Option<Agent>,
    state: &HookState,
    process: ProcessRef,
) -> Result<()> {
    runc_log::executes();
    go(link)?;
    while let Some(message) = next(link)? {
        if let Message::Filter(filter) = message
            && let Some(agent) = agent.take()
        {
            agent.send(filter.as_fd(), process.pid, &json!(state))?;
        }
    }
    Ok(())
}

/// Lets the forked process go on.
fn go(link: &Link) -> Result<()> {
    link.go()
        .map_err(|errno| Error::system("the process in the container is gone")(errno.into()))
}

/// The next message, where it is no failure.
fn next(link: &Link) -> Result<Option<Message>> {
    match link.receive() {
        Ok(Some(Message::Error(why))) => Err(Error::Process(why)),
        Ok(message) => Ok(message),
        Err(errno) => Err(Error::system("cannot reach the process in the container")(
            errno.into(),
        )),
    }
}
