//! System calls that neither the standard library nor `nix` wraps.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use libc::{c_int, pid_t, winsize};

use super::ExitStatus;

/// `ioctl(TIOCGWINSZ)`
#[allow(unsafe_code)]
pub(super) fn window_size(terminal: impl AsFd) -> io::Result<winsize> {
    let mut size = winsize {
        ws_row: 0,
        ws_col: 0,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // SAFETY: the kernel writes one winsize to the pointer, which is valid for the call.
    check(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &mut size) })?;
    Ok(size)
}

/// `ioctl(TIOCSWINSZ)`: the kernel sends SIGWINCH to the terminal's foreground processes.
#[allow(unsafe_code)]
pub(super) fn set_window_size(terminal: impl AsFd, size: &winsize) -> io::Result<()> {
    // SAFETY: the kernel reads one winsize from the pointer, which is valid for the call.
    check(unsafe { libc::ioctl(terminal.as_fd().as_raw_fd(), libc::TIOCSWINSZ, size) })?;
    Ok(())
}

/// `kill(2)`; `signal` is a number, since real-time signals have no name.
#[allow(unsafe_code)]
pub(super) fn kill(pid: pid_t, signal: c_int) -> io::Result<()> {
    // SAFETY: integers by value; no memory is touched.
    check(unsafe { libc::kill(pid, signal) })?;
    Ok(())
}

/// Gives SIGCHLD its default action in place of one that a parent may have left.
#[allow(unsafe_code)]
pub(super) fn reset_child_signal() -> io::Result<()> {
    // SAFETY: no handler of ours is installed, so none can run in a wrong context.
    let before = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    if before == libc::SIG_ERR {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// `prctl(PR_SET_CHILD_SUBREAPER)`
#[allow(unsafe_code)]
pub(super) fn set_child_subreaper() -> io::Result<()> {
    // SAFETY: integers by value; no memory is touched.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) })?;
    Ok(())
}

/// Reaps the child `pid`, or any if it is -1: its pid and how it ended, or `None` if
/// it still runs. `nix` fails here for a child that a real-time signal killed.
#[allow(unsafe_code)]
pub(super) fn reap(pid: pid_t) -> io::Result<Option<(pid_t, ExitStatus)>> {
    let mut status: c_int = 0;
    // SAFETY: the kernel writes one int to the pointer, which is valid for the call.
    let pid = check(unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) })?;
    if pid == 0 {
        return Ok(None);
    }
    let status = if libc::WIFSIGNALED(status) {
        ExitStatus::Signal(libc::WTERMSIG(status))
    } else {
        ExitStatus::Code(libc::WEXITSTATUS(status))
    };
    Ok(Some((pid, status)))
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}
