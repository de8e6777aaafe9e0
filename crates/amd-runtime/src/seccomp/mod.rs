//! The seccomp filter of a container (OCI runtime spec, config-linux.md, "Seccomp").
//!
//! It is compiled once, when the container is created, and kept beside its spec: every
//! process of the container, its init and those of `exec`, loads the same program with
//! one system call, as the last thing before its own program.
//!
//! libcontainer's loader is not used. It swaps mask and value of `SCMP_CMP_MASKED_EQ`, so
//! that docker's rule against `clone(CLONE_NEWUSER)` lets every call pass; it loads
//! nothing for `exec`; it compiles a profile anew for every process; and calls that are
//! newer than the profile get the profile's error rather than `ENOSYS`, which C libraries
//! need in order to fall back.

mod architectures;
mod cache;
mod compile;
mod courier;
mod enosys;
mod filter;
mod listener;
mod load;
mod program;

pub use cache::compiled;
pub use compile::compile;
pub use courier::Courier;
pub use filter::{Filter, Listener};
pub use listener::Agent;
pub use load::{FLAGS, kernel_knows, load};

/// Why a profile cannot become a filter, or a filter cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The profile asks for something that no filter can do.
    #[error("linux.seccomp: {0}")]
    Profile(String),
    /// libseccomp refuses a part of the profile.
    #[error("linux.seccomp: {what}")]
    Library {
        /// The part.
        what: String,
        /// What libseccomp says.
        source: libseccomp::error::SeccompError,
    },
    /// A file of the filter could not be read or written.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The file that holds the compiled filter is damaged.
    #[error("the compiled seccomp filter of the container is damaged: {0}")]
    Damaged(String),
}

impl SeccompError {
    /// For `map_err`. Nothing is allocated where there is no error: a filter that is in force need not
    /// allow it.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io {
            what: what.into(),
            source,
        }
    }
}
