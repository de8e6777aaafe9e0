//! The container engines, a module each: how their configuration files name an OCI runtime.
//!
//! The rules are pure functions from text to text. [`plan`] reads the files they apply to
//! and says what would change; [`Plan::carry_out`] changes it.

pub mod containerd;
pub mod crio;
pub mod docker;
mod drop_ins;
pub mod podman;
mod program;
mod restart;
mod toml_copy;
mod toml_files;

use std::fs::File;
use std::path::Path;

use clap::ValueEnum;
use nix::fcntl::Flock;

use crate::config_file::{Change, ConfigError, ConfigFile, lock};

pub use program::{DEFAULT_PROGRAM, ProgramError, find_program};
pub use restart::{Restart, RestartError};

/// The way out where a runtime of our name is somebody else's.
pub(crate) const OTHER_NAME: &str =
    "choose another --runtime-name, or remove that entry by hand if nobody needs it";

/// A container engine whose configuration can name an OCI runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// Docker, by daemon.json
    Docker,
    /// containerd's CRI plugin, for Kubernetes
    Containerd,
    /// CRI-O, by a drop-in
    Crio,
    /// Podman, by a drop-in
    Podman,
}

/// What is asked of an engine's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The engine knows our runtime.
    Configure(Settings),
    /// The engine's default is not our runtime.
    UnsetDefault {
        /// The name of the runtime.
        name: String,
    },
    /// Nothing of our runtime is in the engine's configuration.
    Remove {
        /// The name of the runtime.
        name: String,
        /// The program that an entry runs which is ours, even if no record of it is left.
        path: String,
    },
}

/// How an engine is to know our runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name under which containers ask for it.
    pub name: String,
    /// The absolute path of the program.
    pub path: String,
    /// Whether it is what runs containers that ask for no runtime. False leaves the default
    /// as it is.
    pub default: bool,
    /// Whether CDI is switched on. False leaves it as it is.
    pub cdi: bool,
    /// The GPUs that Docker Swarm can assign to services, as generic resources
    /// (`AMD_GPU=0xE3AA140F9A5F9E31`). Empty leaves them as they are.
    pub swarm: Vec<String>,
}

/// What a request changes, before anything is changed.
#[derive(Debug)]
pub struct Plan {
    changes: Vec<Change>,
    /// How the engine comes to know of it.
    pub restart: Restart,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Held from before the files were read.
    lock: Option<Flock<File>>,
}

impl Plan {
    fn new(changes: Vec<Change>, restart: Restart, notes: Vec<String>) -> Self {
        Self {
            changes,
            restart,
            notes,
            lock: None,
        }
    }

    /// The paths of files that change, without our own records.
    pub fn changed(&self) -> impl Iterator<Item = &Path> {
        self.shown().map(Change::path)
    }

    /// What a daemon that is told anew of a configuration which stays the same does not take
    /// from it.
    pub fn not_told(&self, request: &Request) -> Option<String> {
        let Restart::Reload { unit, .. } = self.restart else {
            return None;
        };
        let asked = matches!(request, Request::Configure(settings)
            if settings.cdi || !settings.swarm.is_empty());
        (asked && self.changed().next().is_none()).then(|| {
            format!(
                "whether CDI is on, and the resources of Swarm, are read when the daemon starts: \
                 if it did not since they were configured, systemctl restart {unit}"
            )
        })
    }

    /// The changes as a unified diff; empty if there are none.
    pub fn diff(&self) -> String {
        self.shown().map(Change::diff).collect()
    }

    /// Writes the files. Nothing is written to a file that stays the same.
    ///
    /// # Errors
    /// Where a file cannot be replaced; all are as they were, as far as the system lets them.
    pub fn carry_out(&self) -> Result<(), ConfigError> {
        for (done, change) in self.changes.iter().enumerate() {
            change.carry_out().inspect_err(|_| {
                // The failed one, too: it may be made, and not be sure to last. Errors are of
                // no use to the user beside the first.
                for change in self.changes[..=done].iter().rev() {
                    let _ = change.take_back();
                }
            })?;
        }
        Ok(())
    }

    fn shown(&self) -> impl Iterator<Item = &Change> {
        self.changes
            .iter()
            .filter(|change| change.changes() && !change.is_hidden())
    }
}

/// What `request` changes in the configuration of `engine`.
///
/// The files are those that the engine reads on the host below `root`, unless `config`
/// names another. Other commands wait until the plan is dropped if it is to be carried out,
/// which `carried_out` says.
///
/// # Errors
/// Where a file cannot be read or understood, or holds something of somebody else's in the
/// place of ours, and where the files are locked for long.
pub fn plan(
    engine: Engine,
    root: &Path,
    config: Option<&Path>,
    request: &Request,
    carried_out: bool,
) -> Result<Plan, ConfigError> {
    let default = match engine {
        Engine::Docker => docker::CONFIG,
        Engine::Containerd => containerd::CONFIG,
        Engine::Crio => crio::CONFIG,
        Engine::Podman => podman::CONFIG,
    };
    let read = || match config {
        Some(config) => ConfigFile::read(config),
        None => ConfigFile::read_below(root, Path::new(default)),
    };
    let mut file = read()?;
    let lock = if carried_out { lock(file.dir())? } else { None };
    if lock.is_some() {
        // Somebody may have written it while we waited.
        file = read()?;
    }
    let mut plan = match engine {
        Engine::Docker => docker::plan(file, request),
        Engine::Containerd => {
            let drop_in = match config {
                Some(_) => containerd::DropIn::Never,
                None => containerd::DropIn::for_host(root),
            };
            containerd::plan(root, file, drop_in, request)
        }
        Engine::Crio => crio::plan(root, file, request),
        Engine::Podman => podman::plan(root, file, request),
    }?;
    plan.lock = lock;
    Ok(plan)
}

/// What a user should know of a default that does not come back when ours goes.
fn lost_default(key: &str, name: &str) -> String {
    format!(
        "{key} was \"{name}\" before, and is not set again: no runtime of that name is configured \
         any more"
    )
}
