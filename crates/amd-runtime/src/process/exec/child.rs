//! The two processes that an exec forks: one that joins the namespaces of the container,
//! and a child of it, in the PID namespace, that becomes the program.

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use nix::unistd::setsid;

use super::link::{Link, Message};
use super::namespaces::Namespaces;
use crate::process::plan::Plan;
use crate::process::{ProcessError, attributes, terminal};

/// Joins the namespaces and forks the process; never returns.
pub fn run(plan: &Plan, namespaces: Namespaces, console: Option<UnixStream>, link: &Link) -> ! {
    match join_and_fork(namespaces, link) {
        Ok(Some(pid)) => match link.send(&Message::Pid(pid)) {
            Ok(()) => exit(0),
            Err(_) => exit(1),
        },
        Ok(None) => match become_program(plan, console, link) {
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

/// `Some`: the pid of the process, in its parent; `None`: in the process itself.
fn join_and_fork(namespaces: Namespaces, link: &Link) -> Result<Option<i32>, ProcessError> {
    // What is in the container cannot look into this process, which has descriptors and
    // memory of the host.
    nix::sys::prctl::set_dumpable(false).map_err(ProcessError::system("set_dumpable"))?;
    link.wait()?;
    namespaces.join()?;
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    #[allow(unsafe_code)]
    // SAFETY: without CLONE_VM and a stack of its own this is fork(2), of a process with
    // one thread. The child is the runtime's, which waits for it.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
    match Errno::result(pid).map_err(ProcessError::system("cannot fork into the container"))? {
        0 => Ok(None),
        pid => Ok(Some(pid as i32)),
    }
}

fn become_program(
    plan: &Plan,
    console: Option<UnixStream>,
    link: &Link,
) -> Result<Infallible, ProcessError> {
    // Until the parent of this process has said that there is one.
    link.wait()?;
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
