//! Joins a container's terminal to the caller's.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};

use libc::winsize;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::raw_mode::{RawMode, bare_newlines};
use super::relay::Relay;
use super::{ConsoleError, Result, sys};

/// A container's terminal as the caller's stdin and stdout.
///
/// Nothing is copied before [`supervise`](super::supervise()) runs it. On drop the
/// caller's terminal has its former mode again.
#[derive(Debug)]
pub struct Proxy {
    pub(super) relay: Relay,
    /// The caller's terminal, whose size the container's follows.
    caller: Option<OwnedFd>,
    _raw_mode: Option<RawMode>,
}

impl Proxy {
    /// Takes the caller's terminal over for the container behind `master`: it passes
    /// keys on as they are, and the container's terminal gets its size. Where stdin is
    /// no terminal there is nothing to take over; where none of stdin, stdout and
    /// stderr is one, the container's terminal keeps its size.
    ///
    /// Stdin must not have been read through a buffer before.
    ///
    /// # Errors
    ///
    /// If one of the terminals cannot be set up. The caller's is then as it was.
    pub fn start(master: OwnedFd) -> Result<Self> {
        let failed = |action| move |source| ConsoleError::Terminal { action, source };
        let stdin = duplicate(io::stdin()).map_err(failed("duplicate stdin"))?;
        let stdout = duplicate(io::stdout()).map_err(failed("duplicate stdout"))?;
        set_nonblocking(&master).map_err(failed("set up the container's terminal"))?;
        if !stdout.is_terminal() {
            bare_newlines(&master)?;
        }
        let raw_mode = if stdin.is_terminal() {
            let terminal = duplicate(&stdin).map_err(failed("duplicate stdin"))?;
            Some(RawMode::enter(terminal, stdout.is_terminal())?)
        } else {
            None
        };
        let caller = callers_terminal().map_err(failed("duplicate the terminal"))?;
        let proxy = Self {
            relay: Relay::new(master, stdin, stdout),
            caller,
            _raw_mode: raw_mode,
        };
        proxy.resize();
        Ok(proxy)
    }

    /// Gives the container's terminal the size of the caller's. Either may be gone by
    /// now, which shows when it is read or written.
    pub(super) fn resize(&self) {
        let Some(caller) = &self.caller else { return };
        let resized = sys::window_size(caller)
            .and_then(|size| sys::set_window_size(self.relay.master(), &size));
        if let Err(error) = resized {
            tracing::debug!(%error, "the container's terminal keeps its size");
        }
    }
}

/// Sets the size of a container's terminal, as `process.consoleSize` of its spec asks.
///
/// # Errors
///
/// If `master` is no terminal.
pub fn set_window_size(master: impl AsFd, rows: u16, columns: u16) -> Result<()> {
    let size = winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    sys::set_window_size(master, &size).map_err(|source| ConsoleError::Terminal {
        action: "set the size of the container's terminal",
        source,
    })
}

/// The first of stdin, stdout and stderr that is a terminal.
fn callers_terminal() -> io::Result<Option<OwnedFd>> {
    if io::stdin().is_terminal() {
        duplicate(io::stdin()).map(Some)
    } else if io::stdout().is_terminal() {
        duplicate(io::stdout()).map(Some)
    } else if io::stderr().is_terminal() {
        duplicate(io::stderr()).map(Some)
    } else {
        Ok(None)
    }
}

fn duplicate(fd: impl AsFd) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}

fn set_nonblocking(fd: &OwnedFd) -> io::Result<()> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
    Ok(())
}
