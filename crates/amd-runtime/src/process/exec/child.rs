//! The two processes that an exec forks: one that joins the namespaces of the container,
//! and a child of it, in the PID namespace, that becomes the program.

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use nix::unistd::{ForkResult, Pid, setsid};

use super::link::{Forked, Link, Message};
use super::namespaces::Namespaces;
use crate::cgroup::birth::Birthplace;
use crate::process::plan::Plan;
use crate::process::{ProcessError, attributes, terminal};

/// Joins the namespaces and forks the process, in the cgroup at `place` if that can be; never returns.
pub fn run(
    plan: &Plan,
    mut namespaces: Namespaces,
    place: Option<Birthplace>,
    console: Option<UnixStream>,
    link: &Link,
) -> ! {
    let of_process = namespaces.split_off_cgroup();
    match join_and_fork(namespaces, place, link) {
        Ok(Some(forked)) => match link.send(&Message::Forked(forked)) {
            Ok(()) => exit(0),
            Err(_) => exit(1),
        },
        Ok(None) => match become_program(plan, of_process, console, link) {
            Ok(never) => match never {},
            Err(err) => fail(link, &err),
        },
        Err(err) => fail(link, &err),
    }
}

fn fail(link: &Link, err: &ProcessError) -> ! {
    // Without a parent there is nobody to tell.
    let _ = link.send(&Message::Error(err.to_string()));
    exit(1)
}

/// `Some`: the process, in its parent; `None`: in the process itself.
fn join_and_fork(
    namespaces: Namespaces,
    place: Option<Birthplace>,
    link: &Link,
) -> Result<Option<Forked>, ProcessError> {
    // What is in the container cannot look into this process, which has descriptors and
    // memory of the host.
    nix::sys::prctl::set_dumpable(false).map_err(ProcessError::system("set_dumpable"))?;
    link.wait()?;
    namespaces.join()?;
    // Where it cannot be born there, the runtime puts it there, past a limit of processes, too.
    let born = place.and_then(|place| place.fork_sibling().ok());
    let is_in_cgroup = born.is_some();
    let forked = match born {
        Some(forked) => forked,
        None => fork_sibling().map_err(ProcessError::system("cannot fork into the container"))?,
    };
    Ok(match forked {
        ForkResult::Child => None,
        ForkResult::Parent { child } => Some(Forked {
            pid: child.as_raw(),
            is_in_cgroup,
        }),
    })
}

/// As fork(2), of a process with one thread, for a child of the runtime, which waits for it.
fn fork_sibling() -> nix::Result<ForkResult> {
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    #[allow(unsafe_code)]
    // SAFETY: without CLONE_VM and a stack of its own this is fork(2), of a process with
    // one thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    Ok(match Errno::result(pid)? {
        0 => ForkResult::Child,
        pid => ForkResult::Parent {
            child: Pid::from_raw(pid as i32),
        },
    })
}

fn become_program(
    plan: &Plan,
    namespaces: Namespaces,
    console: Option<UnixStream>,
    link: &Link,
) -> Result<Infallible, ProcessError> {
    // Until it is in its cgroup.
    link.wait()?;
    namespaces.join()?;
    setsid().map_err(ProcessError::system("setsid"))?;
    if let Some(console) = console {
        terminal::set_up(&console, false)?;
    }
    umask(Mode::from_bits_truncate(plan.umask));
    if let Some(profile) = &plan.apparmor {
        attributes::set_apparmor(profile)?;
    }
    let settled = plan.settle(Some(link.as_fd()))?;
    let told = |errno| ProcessError::system("cannot reach the runtime")(errno);
    link.send(&Message::Ready).map_err(told)?;
    link.wait()?;
    settled.load_filter(plan)?;
    settled.launch(plan, Some(link.as_fd()))
}

fn exit(code: i32) -> ! {
    #[allow(unsafe_code)]
    // SAFETY: ends this process. What the runtime's process would still do at its end, as
    // removing files, is not this one's to do.
    unsafe {
        libc::_exit(code)
    }
}
