//! Why settings cannot be used.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why a settings file was refused.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be opened or read, or is not UTF-8.
    #[error("cannot read the settings {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A directory, a device or the like.
    #[error("the settings {} are not a regular file", path.display())]
    NotAFile {
        /// What is not a file.
        path: PathBuf,
    },
    /// Someone other than root can change the file, and so who gets GPUs.
    #[error("the settings {} are not safe to use as root: {distrust}", path.display())]
    Untrusted {
        /// The file.
        path: PathBuf,
        /// Who else can change it.
        distrust: Distrust,
    },
    /// A key or section that does not exist.
    #[error("{}:{line}:{column}: unknown {what} `{name}`", path.display())]
    Unknown {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// `section`, or `key in [gpus]`.
        what: String,
        /// The name that is not known.
        name: String,
        /// The names that are.
        valid: Vec<String>,
    },
    /// Not TOML, or a value that its key cannot have.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// In characters, counted from 1.
        column: usize,
        /// What is wrong there, and what is expected.
        message: String,
    },
}

/// Who besides root can change a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// It belongs to this user.
    Owner(u32),
    /// Its group or everybody may write; the permission bits.
    Writable(u32),
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(uid) => write!(f, "they belong to uid {uid}"),
            Self::Writable(mode) => write!(f, "mode {mode:04o} lets others than root write"),
        }
    }
}

impl SettingsError {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some("create the file, or leave out --config for the default settings".into())
            }
            Self::Read { .. } | Self::NotAFile { .. } | Self::Invalid { .. } => None,
            Self::Untrusted { path, distrust } => Some(match distrust {
                Distrust::Owner(_) => format!("chown root:root {}", path.display()),
                Distrust::Writable(_) => format!("chmod go-w {}", path.display()),
            }),
            Self::Unknown { valid, .. } => Some(format!("valid are: {}", valid.join(", "))),
        }
    }
}
