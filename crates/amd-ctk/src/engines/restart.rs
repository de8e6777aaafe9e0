//! How a running engine comes to know of its new configuration.

use std::fmt;
use std::fs;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// What an engine needs to read its configuration anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restart {
    /// Nothing: it reads it for every command.
    None,
    /// A restart of this systemd unit.
    Unit(&'static str),
    /// SIGHUP to its daemon.
    Reload {
        /// The systemd unit of the daemon.
        unit: &'static str,
        /// The file with the daemon's process id.
        pid_file: String,
    },
}

/// Why an engine still runs with its old configuration.
#[derive(Debug, thiserror::Error)]
pub enum RestartError {
    /// There is no systemctl, or it failed.
    #[error("cannot restart {unit}: {reason}")]
    Unit {
        /// The systemd unit.
        unit: &'static str,
        /// What systemctl said.
        reason: String,
    },
    /// The daemon that a file names is not there or not ours to signal.
    #[error("cannot reload dockerd by {pid_file}: {reason}")]
    Reload {
        /// The file with the daemon's process id.
        pid_file: String,
        /// What is wrong.
        reason: String,
    },
}

impl Restart {
    /// Does it.
    ///
    /// # Errors
    /// Where the engine cannot be told; it may not run at all.
    pub fn carry_out(&self) -> Result<(), RestartError> {
        match self {
            Self::None => Ok(()),
            Self::Unit(unit) => systemctl_restart(unit),
            Self::Reload { pid_file, .. } => reload(pid_file),
        }
    }
}

impl fmt::Display for Restart {
    /// As an advice: what the user is to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("the next container is started with it"),
            Self::Unit(unit) => write!(f, "to apply it: systemctl restart {unit}"),
            Self::Reload { unit, .. } => write!(f, "to apply it: systemctl reload {unit}"),
        }
    }
}

fn systemctl_restart(unit: &'static str) -> Result<(), RestartError> {
    let failed = |reason: String| RestartError::Unit { unit, reason };
    let output = Command::new("systemctl")
        .args(["restart", unit])
        .output()
        .map_err(|error| failed(format!("systemctl: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(failed(format!("systemctl: {} {said}", output.status)))
}

fn reload(pid_file: &str) -> Result<(), RestartError> {
    let failed = |reason: String| RestartError::Reload {
        pid_file: pid_file.to_owned(),
        reason,
    };
    let text = fs::read_to_string(pid_file).map_err(|error| failed(error.to_string()))?;
    let pid = text.trim().parse::<i32>().ok().filter(|pid| *pid > 1);
    let pid = pid.ok_or_else(|| failed("there is no process id in it".to_owned()))?;
    // The file outlives a daemon that was killed, and its number may be another's since.
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if name.trim_end() != "dockerd" {
        return Err(failed(format!("process {pid} is no dockerd")));
    }
    kill(Pid::from_raw(pid), Signal::SIGHUP).map_err(|error| failed(error.to_string()))
}
