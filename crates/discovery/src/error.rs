use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why the GPUs of a host could not be listed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// There is no sysfs where the host should have one.
    #[error("{} is not there: no sysfs to read GPUs from", path.display())]
    NoSysfs {
        /// The directory that every mounted sysfs has.
        path: PathBuf,
    },
    /// A directory or file that the list depends on could not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What could not be read.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl DiscoveryError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSysfs { .. } => {
                Some("mount sysfs there, or name the directory that holds the host's /sys".into())
            }
            Self::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run as root".into())
            }
            Self::Read { .. } => Some(
                "try again in a moment, as a GPU may just come or go; or see what `dmesg` has to say \
                 of amdgpu"
                    .into(),
            ),
        }
    }
}
