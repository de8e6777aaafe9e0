//! PID 1 of a simulated host.

use std::io::Write;
use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, getpid};

use super::namespace::READY;
use crate::cgroup;

/// Mounts /proc, says so on standard output, and reaps orphans until standard input ends;
/// then kills every other process and removes the cgroups below `cgroup`.
///
/// # Errors
/// Where this process is not PID 1 of its namespace, /proc cannot be mounted, or a cgroup
/// cannot be removed.
pub fn run(cgroup: &str) -> Result<()> {
    ensure!(
        getpid().as_raw() == 1,
        "--init is for the first process of a PID namespace"
    );
    mount_proc()?;
    let mut child_ended = SigSet::empty();
    child_ended.add(Signal::SIGCHLD);
    child_ended.thread_block().context("cannot block SIGCHLD")?;
    let signals = SignalFd::with_flags(&child_ended, SfdFlags::SFD_CLOEXEC)
        .context("cannot wait for SIGCHLD")?;
    announce()?;

    let stdin = std::io::stdin();
    loop {
        let mut fds = [
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
            PollFd::new(signals.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(err) => return Err(err).context("cannot wait for standard input to end"),
        }
        if fds[0].any() == Some(true) {
            break;
        }
        if fds[1].any() == Some(true) {
            signals.read_signal().context("cannot read a signal")?;
            reap(WaitPidFlag::WNOHANG);
        }
    }

    // Gone already is as good.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    cgroup::thaw(cgroup)?;
    reap(WaitPidFlag::empty());
    remove_cgroups(cgroup)
}

fn mount_proc() -> Result<()> {
    // Not mounted where the machine's own /proc is masked; then there is nothing to hide.
    let _ = umount2("/proc", MntFlags::MNT_DETACH);
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("proc"), "/proc", Some("proc"), flags, None::<&str>).context("cannot mount /proc")
}

/// Prints [`READY`] and closes standard output, which is a pipe that is read to its end.
fn announce() -> Result<()> {
    let mut stdout = std::io::stdout();
    stdout
        .write_all(READY.as_bytes())
        .and_then(|()| stdout.flush())
        .context("cannot say ready")?;
    let null = std::fs::File::create("/dev/null").context("cannot open /dev/null")?;
    nix::unistd::dup2_stdout(&null).context("cannot close standard output")
}

fn reap(flags: WaitPidFlag) {
    loop {
        match waitpid(None, Some(flags)) {
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return,
            Ok(_) | Err(_) => {}
        }
    }
}

/// Processes that entered the host are not children of init: their cgroups can be busy for
/// a moment more.
fn remove_cgroups(cgroup: &str) -> Result<()> {
    let mut tries = 0;
    loop {
        match cgroup::remove(cgroup) {
            Err(_) if tries < 500 => {
                tries += 1;
                sleep(Duration::from_millis(4));
            }
            done => return done,
        }
    }
}
