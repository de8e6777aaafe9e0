//! Why a host is not set up.

use std::io;
use std::path::PathBuf;

use super::{Daemon, Step};
use crate::config_file::ConfigError;

/// Why a set-up was not made or taken back.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// A file cannot be read or written.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file of the name holds something else.
    #[error("{} is not as amd-ctk wrote it, and stays as it is", .0.display())]
    NotOurs(PathBuf),
    /// In the place of a file there is a link.
    #[error("{} is a symbolic link to {}, and stays as it is", path.display(), target.display())]
    Symlink {
        /// The file.
        path: PathBuf,
        /// Where it leads.
        target: PathBuf,
    },
    /// In the place of the link by which a unit is enabled there is something else.
    #[error("{} is no link to a unit, and stays as it is", .0.display())]
    NoLink(PathBuf),
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A program of this name cannot stand in a unit.
    #[error("{}: a path with such characters cannot stand in a unit", .0.display())]
    Program(PathBuf),
    /// udev ignores a rule with a group that does not exist.
    #[error("there is no group {0} in /etc/group")]
    NoGroup(String),
    /// Who is to be told does not run.
    #[error("{} does not run here: there is no {}", .0.name(), .0.sign())]
    NotRunning(Daemon),
    /// Programs that we start are told of their own host.
    #[error("the host below {} is not the one that this program runs on", .0.display())]
    OtherHost(PathBuf),
    /// A program failed.
    #[error("`{step}` failed: {reason}")]
    Step {
        /// The program.
        step: Step,
        /// Why.
        reason: String,
        /// What was not run after it.
        left: Vec<Step>,
    },
}

impl SetupError {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Config(error) => return error.hint(),
            Self::NotOurs(path) => format!(
                "move {} away if nobody needs it; changes to a unit are better made with \
                 `systemctl edit`",
                path.display()
            ),
            Self::Symlink { path, target } if target.as_os_str() == "/dev/null" => {
                let unit = path.file_name().unwrap_or_default().display();
                format!("an administrator masked it; `systemctl unmask {unit}` undoes that")
            }
            Self::Symlink { path, .. } | Self::NoLink(path) => {
                format!("remove {} if nobody needs it", path.display())
            }
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied => "run it as root".to_owned(),
                _ => return None,
            },
            Self::Program(_) => "install amd-ctk in /usr/bin or /usr/local/bin".to_owned(),
            Self::NoGroup(group) => format!(
                "`groupadd --system {group}` makes it; --group names another one, and --mode 0666 \
                 with --group root needs none"
            ),
            Self::NotRunning(_) | Self::OtherHost(_) => {
                "--files-only writes the files alone, for the next boot".to_owned()
            }
            Self::Step { step, left, .. } => {
                let rest: Vec<String> = [step]
                    .into_iter()
                    .chain(left)
                    .map(|step| format!("`{step}`"))
                    .collect();
                format!(
                    "the files are as they should be; what is left is {}",
                    rest.join(", ")
                )
            }
        })
    }
}
