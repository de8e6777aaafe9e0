//! Why a root filesystem could not be made.

use std::io;
use std::path::Path;

/// Why a root filesystem could not be made. What the user sees is its chain of causes.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// A step failed.
    #[error("{what}")]
    Step {
        /// What was being done, and to what.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A mount failed. The words are runc's.
    #[error("error mounting {source_name:?} to rootfs at {destination:?}")]
    Mount {
        /// The source of the spec.
        source_name: String,
        /// The destination of the spec.
        destination: String,
        /// Why it failed.
        #[source]
        cause: Box<MountError>,
    },
    /// What is asked for must not or cannot be.
    #[error("{0}")]
    Refused(String),
}

/// The result of a step.
pub type Result<T, E = MountError> = std::result::Result<T, E>;

/// Names a step that failed.
pub trait Step<T> {
    /// The error as one of the step `what`.
    ///
    /// # Errors
    /// The error, named.
    fn step(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<io::Error>> Step<T> for std::result::Result<T, E> {
    fn step(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| MountError::Step {
            what: what(),
            source: source.into(),
        })
    }
}

/// `what` and a path, as a step is named.
pub fn at(what: &str, path: &Path) -> String {
    format!("{what} {}", path.display())
}
