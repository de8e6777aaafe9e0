//! The filter of an init whose agent is to have it before `start`.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::plan::Plan;
use super::steps::Settled;
use super::{ProcessError, socket};

/// What the init of a container with a seccomp agent has of its runtime: it loads its filter
/// while `create` is still there, and waits for `start` by itself. libcontainer's way of waiting
/// takes calls that the filter need not allow (accept, recvfrom).
#[derive(Debug)]
pub struct EarlyFilter {
    runtime: File,
    start: File,
    /// Whether the runtime knows why there is no filter.
    has_told: Cell<bool>,
}

impl EarlyFilter {
    /// The side of the init, which is told to start at the socket `start`; and that of the
    /// runtime, which is sent the filter's descriptor, or else why there is none.
    ///
    /// # Errors
    /// Where the sockets cannot be made.
    pub fn new(start: &Path) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let start = socket::bind(start)?;
        Ok((
            Self {
                // As files: std writes to a socket by other calls than write(2).
                runtime: File::from(OwnedFd::from(theirs)),
                start: File::from(OwnedFd::from(start)),
                has_told: Cell::new(false),
            },
            ours,
        ))
    }

    /// Loads the filter of `plan`, sends it to the runtime, and returns when `start` says so.
    ///
    /// # Errors
    /// Where the kernel refuses a limit or the filter, or the runtime is gone.
    pub fn load(&self, settled: &Settled, plan: &Plan) -> Result<(), ProcessError> {
        if let Err(err) = settled.load_filter(plan) {
            // Whoever waits may be gone.
            let told = (&self.runtime).write_all(err.to_string().as_bytes());
            self.has_told.set(told.is_ok());
            return Err(err);
        }
        let mut byte = [0];
        (&self.start)
            .read_exact(&mut byte)
            .map_err(|err| ProcessError::Refused(format!("cannot wait for the start: {err}")))
    }

    /// Whether the runtime has been told of the error of [`Self::load`], and says it.
    pub fn has_told(&self) -> bool {
        self.has_told.get()
    }
}

/// The connection to the runtime.
impl AsFd for EarlyFilter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.runtime.as_fd()
    }
}
