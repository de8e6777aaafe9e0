//! Why device rules are not in force.

use std::io;
use std::path::PathBuf;

use super::hierarchy::HierarchyError;
use super::table::TableError;
use super::v1::{Difference, ListError, WriteError};
use super::v2::V2Error;

/// Device rules that could not be put in force, or are not in force any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceCgroupError {
    /// The rules contradict what a kernel can do.
    #[error(transparent)]
    Rules(#[from] TableError),
    /// The cgroup of the process cannot be told.
    #[error(transparent)]
    Hierarchy(#[from] HierarchyError),
    /// Rules for the cgroup would bind the runtime itself.
    #[error(
        "process {pid} is in cgroup {}, which holds this runtime as well: device rules for it \
         would bind both", path.display()
    )]
    SharedCgroup {
        /// The process of the container.
        pid: i32,
        /// The path in `/proc/PID/cgroup`.
        path: PathBuf,
    },
    /// The directory or a file of the cgroup cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The directory or file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The directory is not on the cgroup file system that mountinfo names.
    #[error("{} is not on a cgroup file system", path.display())]
    NotACgroup {
        /// The directory.
        path: PathBuf,
    },
    /// A rule could not be written to the v1 controller.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// `devices.list` has a form that is not the kernel's.
    #[error("cannot understand {}", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ListError,
    },
    /// `devices.list` does not say what the rules say.
    #[error("{} differs from the container's device rules: {}", path.display(), listed(differences))]
    Differs {
        /// The file.
        path: PathBuf,
        /// Every difference.
        differences: Vec<Difference>,
    },
    /// The device program is not in force.
    #[error("cannot control the devices of cgroup {}", dir.display())]
    Program {
        /// The directory of the cgroup.
        dir: PathBuf,
        /// What is wrong with the program.
        source: V2Error,
    },
}

fn listed(differences: &[Difference]) -> String {
    differences
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

impl DeviceCgroupError {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Rules(error) => error.hint(),
            Self::Hierarchy(error) => error.hint(),
            Self::SharedCgroup { .. } => {
                Some("give the container a cgroup of its own (linux.cgroupsPath)".to_string())
            }
            Self::Write(error) => error.hint(),
            Self::Program { source, .. } => source.hint(),
            Self::Read { .. }
            | Self::NotACgroup { .. }
            | Self::List { .. }
            | Self::Differs { .. } => None,
        }
    }
}
