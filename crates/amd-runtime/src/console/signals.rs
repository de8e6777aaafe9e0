//! The signals that reach us while a container runs in the foreground.

use std::os::fd::{AsFd, BorrowedFd};

use libc::c_int;
use nix::sys::signal::{SigSet, SigmaskHow};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// All signals of this thread, blocked and read from a descriptor instead. On drop
/// those that are pending are discarded, and the former mask is back.
#[derive(Debug)]
pub(super) struct BlockedSignals {
    fd: SignalFd,
    before: SigSet,
}

impl BlockedSignals {
    pub(super) fn block() -> nix::Result<Self> {
        let all = SigSet::all();
        let fd = SignalFd::with_flags(&all, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let before = all.thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        Ok(Self { fd, before })
    }

    /// The number of the next signal that came, `None` if no more did.
    pub(super) fn next(&self) -> nix::Result<Option<c_int>> {
        let info = self.fd.read_signal()?;
        Ok(info.and_then(|info| c_int::try_from(info.ssi_signo).ok()))
    }

    /// Whether a signal came that is meant for the container, which is gone.
    pub(super) fn told_to_stop(&self) -> bool {
        let mut told = false;
        while let Ok(Some(signal)) = self.next() {
            told |= meaning(signal) == Meaning::Forward;
        }
        told
    }

    /// Readable when a signal came.
    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // They were meant for a process that is gone; delivered now, they would end ours
        // before it has cleaned up after it.
        while let Ok(Some(_)) = self.next() {}
        // Restoring a mask that was in force cannot fail.
        let _ = self.before.thread_set_mask();
    }
}

/// What a signal to us means for the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The container's process gets it.
    Forward,
    /// The caller's terminal has another size.
    Resize,
    /// A child of ours exited, stopped or went on.
    Child,
    /// It is about our own descriptors.
    Ours,
}

/// As `signals.go` of runc, and SIGPIPE: a stdout that nobody reads is no affair of the
/// container's process.
pub(super) fn meaning(signal: c_int) -> Meaning {
    match signal {
        libc::SIGCHLD => Meaning::Child,
        libc::SIGWINCH => Meaning::Resize,
        libc::SIGPIPE | libc::SIGURG => Meaning::Ours,
        _ => Meaning::Forward,
    }
}
