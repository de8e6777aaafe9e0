//! Why the state of a container could not be read, locked or written.

use std::io;
use std::path::{Path, PathBuf};

/// Why a container's state could not be read, locked or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// No container of that id below this root.
    #[error("container {id:?}: container does not exist")]
    NotExist {
        /// The id that was asked for.
        id: String,
    },
    /// The id is in use.
    #[error("container {id:?}: container with given ID already exists")]
    Exists {
        /// The id that was asked for.
        id: String,
    },
    /// Another command holds the container.
    #[error("container {id:?} is in use by process {holder}")]
    Busy {
        /// The id that was asked for.
        id: String,
        /// Pid of the command that holds it.
        holder: i32,
    },
    /// The record is there and cannot be understood.
    #[error("container {id:?}: cannot read {path:?}")]
    Torn {
        /// The id that was asked for.
        id: String,
        /// The record's path.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A state root, or a container's directory in it, is another user's.
    #[error("{path:?} belongs to user {owner}, whose containers are not this user's to run")]
    Stranger {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// A system call failed.
    #[error("{what} {path:?}")]
    Io {
        /// What was being done, as in "cannot create".
        what: &'static str,
        /// To which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl StateError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { id } => Some(format!(
                "choose another id, or remove that container: amd-container-runtime delete {id}"
            )),
            Self::Torn { id, .. } => Some(format!(
                "remove what is left of it: amd-container-runtime delete --force {id}"
            )),
            Self::NotExist { .. } => {
                Some("see `amd-container-runtime list`, and --root if another was used".into())
            }
            Self::Busy { id, holder } => Some(format!(
                "see what that process waits for: ps -fp {holder}; or end it, and then: \
                 amd-container-runtime delete --force {id}"
            )),
            Self::Stranger { owner, .. } => Some(format!(
                "use another --root, or run it as that user: setpriv --reuid {owner}"
            )),
            Self::Io { .. } => None,
        }
    }

    pub(super) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}
