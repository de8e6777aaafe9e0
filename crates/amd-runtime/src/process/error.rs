//! Why a process could not get as far as its program.

use nix::errno::Errno;

use crate::seccomp::SeccompError;

/// Why a process could not get as far as its program. It is told inside the container,
/// and its text is all that gets out.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program cannot be found or executed, in the words of Go's `os/exec`.
    #[error("{0}")]
    Program(String),
    /// The process asks for something that cannot be.
    #[error("{0}")]
    Refused(String),
    /// A system call failed.
    #[error("{what}: {}", errno_text(*errno))]
    System {
        /// What was being done.
        what: String,
        /// Why it failed.
        errno: Errno,
    },
    /// The filter could not be loaded or handed to its agent.
    #[error("unable to init seccomp: {}", crate::chain(.0))]
    Seccomp(#[from] SeccompError),
    /// A startContainer hook failed.
    #[error(transparent)]
    Hook(#[from] crate::hooks::HookError),
}

impl ProcessError {
    /// For `map_err`.
    pub fn system(what: impl Into<String>) -> impl FnOnce(Errno) -> Self {
        let what = what.into();
        move |errno| Self::System { what, errno }
    }
}

/// An error as Go words it.
pub fn errno_text(errno: Errno) -> String {
    errno.desc().to_lowercase()
}
