//! What can go wrong, and the way out.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::GrantedGpu;

/// An exclusive GPU and the container that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The GPU, as it was asked for.
    pub gpu: GrantedGpu,
    /// The id of the container.
    pub container: String,
    /// The pid of its init as the host sees it; of its `create` where that is at work.
    pub pid: i32,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            gpu,
            container,
            pid,
        } = self;
        write!(f, "{gpu} by container {container} (pid {pid})")
    }
}

/// Why the tracker could not do what it was asked for.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrackerError {
    /// Another container has GPUs that are for one container at a time.
    #[error("GPUs [{}] are exclusive and already in use: {}", indices(.0), list(.0))]
    InUse(Vec<Conflict>),
    /// A container that nobody else finds asks for GPUs that are for one container at a time.
    #[error("GPUs [{}] are exclusive, and no rootless container can have them to itself", .0.join(" "))]
    Unseen(Vec<String>),
    /// The settings are there and cannot be understood.
    #[error("cannot read the settings of the GPU tracker, {path:?}: {reason}")]
    Settings {
        /// Their file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A container may have the GPU: its reservation is there and cannot be understood.
    #[error("cannot read which GPUs a container has, {path:?}: {reason}")]
    Reservation {
        /// The reservation.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A command that changes what is exclusive, while the tracker is off.
    #[error("GPU Tracker is disabled")]
    Disabled,
    /// No container of that id has GPUs.
    #[error("no container {id:?} has GPUs")]
    NoSuchContainer {
        /// The id that was asked for.
        id: String,
    },
    /// Several containers go by that id.
    #[error("{id:?} could be any of these containers: {}", .candidates.join(", "))]
    Ambiguous {
        /// The id that was asked for.
        id: String,
        /// Their ids, with their state roots.
        candidates: Vec<String>,
    },
    /// A container that lives keeps its GPUs.
    #[error("container {id} is running (pid {pid}) and can use its GPUs")]
    Running {
        /// Its id.
        id: String,
        /// The pid of its init.
        pid: i32,
    },
    /// A system call failed.
    #[error("{what} {path:?}")]
    Io {
        /// What was being done, as in "cannot write".
        what: &'static str,
        /// To which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl TrackerError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::InUse(_) => {
                "`amd-ctk gpu-tracker status` shows who has which GPU; \
                 `amd-ctk gpu-tracker GPUS shared` lets several containers have them"
            }
            Self::Unseen(_) => {
                "ask for another GPU; or make it shared, as root: `amd-ctk gpu-tracker GPUS shared`"
            }
            Self::Settings { .. } => {
                "`amd-ctk gpu-tracker reset` mends it: all GPUs are shared then, and the tracker is off"
            }
            Self::Reservation { .. } => {
                "remove that container (`docker rm -f`, `amd-container-runtime --root ROOT delete \
                 --force ID`), or that file if nothing of the container is left"
            }
            Self::Disabled => "enable it first: `amd-ctk gpu-tracker enable`",
            Self::NoSuchContainer { .. } => "`amd-ctk gpu-tracker status` lists those that have",
            Self::Ambiguous { .. } => "write the whole id",
            Self::Running { .. } => {
                "stop it; or --force, and another container can be given its exclusive GPUs \
                 while it still has them"
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "run as root"
            }
            Self::Io { .. } => return None,
        };
        Some(hint.to_owned())
    }

    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

fn indices(conflicts: &[Conflict]) -> String {
    let indices: Vec<_> = conflicts.iter().map(|c| c.gpu.index()).collect();
    indices.join(" ")
}

fn list(conflicts: &[Conflict]) -> String {
    let all: Vec<_> = conflicts.iter().map(Conflict::to_string).collect();
    all.join(", ")
}
