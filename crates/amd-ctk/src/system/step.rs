//! The programs that tell the running system of files that changed.

use std::fmt;
use std::path::Path;
use std::process::Command;

use discovery::HostRoot;

/// A daemon that reads what a set-up writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// systemd as the system's manager.
    Systemd,
    /// udevd.
    Udev,
}

impl Daemon {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Udev => "udev",
        }
    }

    /// What is there while it runs: sd_booted(3); the socket of `udevadm control`.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Systemd => "/run/systemd/system",
            Self::Udev => "/run/udev/control",
        }
    }

    /// Whether it runs on this host.
    pub fn runs(self, host: &HostRoot) -> bool {
        host.join(Path::new(self.sign())).exists()
    }
}

/// A program that is run, with its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    words: &'static [&'static str],
    /// Whether it is run though no file changes.
    always: bool,
}

impl Step {
    /// A program, by its name in PATH, that is run where a file changes.
    pub const fn new(words: &'static [&'static str]) -> Self {
        Self {
            words,
            always: false,
        }
    }

    /// The same, whether or not a file changes.
    pub const fn always(self) -> Self {
        Self {
            always: true,
            ..self
        }
    }

    pub(super) fn applies(&self, changed: bool) -> bool {
        changed || self.always
    }

    /// Runs it, and says why it failed.
    pub(super) fn run(&self) -> Result<(), String> {
        let [program, args @ ..] = self.words else {
            return Ok(());
        };
        let output = Command::new(program)
            .args(args)
            .output()
            .map_err(|error| error.to_string())?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("{}, {}", output.status, said.trim()))
    }
}

impl fmt::Display for Step {
    /// As for a shell.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = self.words.iter().map(|word| {
            if word.contains('*') {
                format!("'{word}'")
            } else {
                (*word).to_owned()
            }
        });
        f.write_str(&quoted.collect::<Vec<_>>().join(" "))
    }
}
