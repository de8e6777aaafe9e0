//! Why a container was not checkpointed or restored.

use std::io;
use std::path::PathBuf;

/// Why a container was not checkpointed or restored.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// CRIU is not there, or cannot be executed.
    #[error("cannot run CRIU, {program:?}")]
    Program {
        /// What was to be run.
        program: PathBuf,
        /// Why it does not run.
        source: io::Error,
    },
    /// CRIU is older than what it is asked for.
    #[error("CRIU version {found} must be {least} or higher")]
    Version {
        /// Its version, as 10000 x major + 100 x minor + sublevel.
        found: u32,
        /// What is needed, in the same form.
        least: u32,
    },
    /// CRIU, or the kernel below it, cannot do what it is asked for.
    // runc's words.
    #[error("criu is missing features: {feature}")]
    Feature {
        /// CRIU's name of it.
        feature: &'static str,
    },
    /// The conversation with CRIU broke off.
    #[error("lost the connection to CRIU: {why}")]
    Lost {
        /// What happened.
        why: String,
    },
    /// CRIU did not do it.
    // runc's words, and what CRIU's log says.
    #[error("criu failed: type {what} errno {errno}{}", log_lines(.lines))]
    Failed {
        /// `DUMP`, `PRE_DUMP` or `RESTORE`.
        what: String,
        /// Its `cr_errno`; often 0.
        errno: i32,
        /// Its log.
        log: PathBuf,
        /// The last errors in it.
        lines: Vec<String>,
    },
    /// An option makes no sense.
    #[error("{0}")]
    Usage(String),
}

impl CheckpointError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Program { .. } => Some(
                "install CRIU (a package `criu` in most distributions), or name it with --criu"
                    .into(),
            ),
            Self::Failed { log, lines, .. } => {
                let gpu = lines.iter().any(|line| line.contains("/dev/kfd"));
                let plugin = match gpu {
                    true => "; processes that use GPUs need CRIU's amdgpu plugin",
                    false => "",
                };
                Some(format!(
                    "the whole of it is in {log:?}, and `criu check` says what is amiss with CRIU \
                     and this kernel{plugin}"
                ))
            }
            Self::Version { .. } | Self::Feature { .. } => {
                Some("a newer CRIU, named with --criu, or a newer kernel may have it".into())
            }
            Self::Lost { .. } | Self::Usage(_) => None,
        }
    }
}

fn log_lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!(": {line}")).collect()
}
