//! The seccomp agent: who decides about calls with `SCMP_ACT_NOTIFY` (config-linux.md,
//! "The Container Process State").

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr, socket};
use serde_json::{Value, json};

use super::SeccompError;
use super::filter::Listener;
use crate::process::send;

/// A connection to the agent, opened before there is anything to send: a container whose
/// agent is not there does not start.
#[derive(Debug)]
pub struct Agent {
    socket: UnixStream,
    metadata: String,
}

impl Agent {
    /// Connects to the agent.
    ///
    /// # Errors
    /// Where nobody listens there.
    pub fn connect(listener: &Listener) -> Result<Self, SeccompError> {
        let path = &listener.path;
        let failed = SeccompError::io(format!("failed to connect with seccomp agent {path:?}"));
        Ok(Self {
            socket: connect(path).map_err(failed)?,
            metadata: listener.metadata.clone(),
        })
    }

    /// Sends the descriptor of a filter that process `pid` has loaded. `state` is that of
    /// its container (runtime.md, "State").
    ///
    /// # Errors
    /// Where the agent is gone.
    pub fn send(self, fd: BorrowedFd<'_>, pid: i32, state: &Value) -> Result<(), SeccompError> {
        let message = process_state(pid, &self.metadata, state).to_string();
        let sent = send(self.socket.as_fd(), message.as_bytes(), Some(fd));
        let whole = sent.map_err(io::Error::from).and_then(|len| {
            if len == message.len() {
                Ok(())
            } else {
                Err(io::Error::from(io::ErrorKind::WriteZero))
            }
        });
        whole.map_err(SeccompError::io(
            "cannot send the filter to the seccomp agent",
        ))
    }
}

/// As Go's `net.Dial`: a path that begins with `@` is a name of the abstract namespace, and where
/// nobody accepts connections any more, and none can wait, that is an error (EAGAIN).
fn connect(path: &Path) -> io::Result<UnixStream> {
    let address = match path.as_os_str().as_bytes() {
        [b'@', name @ ..] => UnixAddr::new_abstract(name)?,
        _ => UnixAddr::new(path)?,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    socket::connect(socket.as_raw_fd(), &address)?;
    let socket = UnixStream::from(socket);
    socket.set_nonblocking(false)?;
    Ok(socket)
}

/// The container process state that goes with the descriptor.
fn process_state(pid: i32, metadata: &str, state: &Value) -> Value {
    json!({
        "ociVersion": state["ociVersion"],
        "fds": ["seccompFd"],
        "pid": pid,
        "metadata": metadata,
        "state": state,
    })
}
