//! The socket over which a container sends the master of its pseudo-terminal.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::isatty;

use super::{ConsoleError, Result};
use crate::process::receive_all;

/// What comes with a terminal, the name of a device, is not longer.
const LONGEST_TEXT: usize = 4096;

/// Listens for one terminal, as `runc --console-socket` has its callers do: one
/// message with one file descriptor (`SCM_RIGHTS`); its text does not matter.
///
/// The socket's file is removed on drop.
#[derive(Debug)]
pub struct ConsoleListener {
    listener: UnixListener,
    path: PathBuf,
}

impl ConsoleListener {
    /// Listens on a new socket in `dir`, an absolute path to a directory that only its
    /// owner can search: whoever can connect can choose the container's terminal.
    ///
    /// # Errors
    ///
    /// If the socket cannot be made.
    pub fn bind(dir: &Path) -> Result<Self> {
        // More than one container can be made by one process, and several processes can
        // share a container's directory.
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("console-{}-{number}", std::process::id());
        let path = dir.join(&name);
        match listen(dir, &name) {
            Ok(listener) => Ok(Self { listener, path }),
            Err(source) => Err(ConsoleError::Listen { path, source }),
        }
    }

    /// The socket. It may be longer than a socket address can be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the master of the container's terminal. The descriptor is
    /// close-on-exec.
    ///
    /// # Errors
    ///
    /// If none comes within `timeout`, or something that is no terminal.
    pub fn receive(&self, timeout: Duration) -> Result<OwnedFd> {
        let deadline = Instant::now() + timeout;
        let wait = |socket: BorrowedFd<'_>| match readable(socket, deadline) {
            Ok(true) => Ok(()),
            Ok(false) => Err(ConsoleError::Timeout { timeout }),
            Err(error) => Err(ConsoleError::Receive(error)),
        };
        wait(self.listener.as_fd())?;
        let (stream, _) = self.listener.accept().map_err(ConsoleError::Receive)?;
        wait(stream.as_fd())?;
        let master = receive_fd(&stream)?;
        if !isatty(&master).unwrap_or(false) {
            return Err(ConsoleError::NotATerminal("a descriptor of another kind"));
        }
        Ok(master)
    }
}

impl Drop for ConsoleListener {
    fn drop(&mut self) {
        // It goes away with its directory at the latest.
        let _ = fs::remove_file(&self.path);
    }
}

/// Listens on `name` in `dir`. An address holds 107 bytes, which a state directory's
/// path can exceed, so the directory is named by its descriptor.
fn listen(dir: &Path, name: &str) -> io::Result<UnixListener> {
    let dir = File::open(dir)?;
    let address = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
    match UnixListener::bind(&address) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            // The name holds our pid: it was left by a process that is gone.
            fs::remove_file(&address)?;
            UnixListener::bind(&address)
        }
        result => result,
    }
}

/// Whether `fd` becomes readable before `deadline`.
fn readable(fd: BorrowedFd<'_>, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        // Rounded up: a wait of 0.4 ms must not become a busy loop.
        let left = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], left) {
            Ok(0) if Instant::now() >= deadline => return Ok(false),
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The one descriptor in the next message.
fn receive_fd(stream: &UnixStream) -> Result<OwnedFd> {
    let received = receive_all(stream.as_fd(), LONGEST_TEXT);
    let (_, mut fds) = received.map_err(|errno| ConsoleError::Receive(errno.into()))?;
    match (fds.pop(), fds.is_empty()) {
        (Some(fd), true) => Ok(fd),
        (None, _) => Err(ConsoleError::NotATerminal("no descriptor")),
        (Some(_), false) => Err(ConsoleError::NotATerminal("several descriptors")),
    }
}
