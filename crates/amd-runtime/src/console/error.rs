//! Why a container cannot be run in the foreground.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What failed between a container and the caller's terminal.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The socket that the container sends its terminal to could not be made.
    #[error("cannot listen on the console socket {}", path.display())]
    Listen {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Nobody sent a terminal in time.
    #[error("the container sent no terminal within {timeout:?}")]
    Timeout {
        /// How long we waited.
        timeout: Duration,
    },
    /// The connection broke.
    #[error("cannot receive the container's terminal")]
    Receive(#[source] io::Error),
    /// What came over the socket was something else.
    #[error("the container sent {0} instead of its terminal")]
    NotATerminal(&'static str),
    /// The caller's terminal, or the container's, could not be set up.
    #[error("cannot {action}")]
    Terminal {
        /// What was tried.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// This process could not be made one that waits for containers.
    #[error("cannot prepare to wait for the container's process")]
    Prepare(#[source] io::Error),
    /// The container's process could not be waited for.
    #[error("cannot wait for the container's process {pid}")]
    Supervise {
        /// The process.
        pid: i32,
        /// What the kernel said.
        source: io::Error,
    },
}
