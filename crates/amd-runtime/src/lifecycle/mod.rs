//! The commands on containers, built on libcontainer with this crate's own locks,
//! state, status and signals. A file a command.

mod agent;
mod born;
mod build;
pub(crate) mod causes;
mod checkpoint;
mod create;
mod create_options;
mod delete;
mod devices;
mod events;
mod exec;
mod finish;
mod freeze;
mod grant;
mod joining;
mod limits;
mod loopback;
mod named_namespaces;
mod reap;
mod resctrl;
mod reservation;
mod restore;
mod rights;
mod settle;
mod signal;
mod specs;
mod start;
mod status;
mod undo;
mod update;

use std::path::{Path, absolute};

use discovery::HostRoot;

pub use crate::cgroup::stats::Stats;
pub use build::BuildError;
pub use create_options::CreateOptions;
pub use events::{Notice, Watch};
pub use exec::ExecOptions;
pub use grant::Grant;
pub use limits::Limits;
pub use signal::{UnknownSignal, parse_signal};
pub use status::{ContainerState, GRANTED, Status};

use crate::error::{Error, Result};
use crate::id::ContainerId;
use crate::rootless::Rootless;
use crate::settings::Settings;
use crate::state::{
    ContainerDir, LOCK_PATIENCE, Lock, LockKind, ProcessRef, Record, StateRoot, write_pid_file,
};

/// Where state is kept unless told otherwise: a tmpfs.
pub const DEFAULT_ROOT: &str = "/run/amd-container-runtime";

/// The container runtime: all commands on the containers below one state root.
///
/// The calling process must be single-threaded when it creates a container or executes
/// a process in one: libcontainer forks without exec.
#[derive(Clone, Debug)]
pub struct Runtime {
    root: StateRoot,
    host: HostRoot,
    settings: Settings,
    systemd_cgroup: bool,
    rootless: Rootless,
}

impl Runtime {
    /// A runtime that keeps its state below `root`, with default settings, on the fs
    /// cgroup driver. A relative `root` is one of the working directory of now.
    pub fn new(root: impl AsRef<Path>) -> Self {
        let root = root.as_ref();
        Self {
            // Where that is not to be had, the path is as good as any.
            root: StateRoot::new(absolute(root).unwrap_or_else(|_| root.to_owned())),
            host: HostRoot::system(),
            settings: Settings::default(),
            systemd_cgroup: false,
            rootless: Rootless::Auto,
        }
    }

    /// Uses these settings.
    #[must_use]
    pub fn with_settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Lets systemd make the cgroups of new containers, as engines ask for with
    /// `--systemd-cgroup`.
    #[must_use]
    pub fn with_systemd_cgroup(mut self, systemd: bool) -> Self {
        self.systemd_cgroup = systemd;
        self
    }

    /// When new containers can do without what only the host's root can set up.
    #[must_use]
    pub fn with_rootless(mut self, rootless: Rootless) -> Self {
        self.rootless = rootless;
        self
    }

    /// Ids of all containers, sorted; none where the state root does not exist.
    ///
    /// # Errors
    /// Where the state root cannot be read.
    pub fn ids(&self) -> Result<Vec<ContainerId>> {
        Ok(self.root.ids()?)
    }

    /// Whether the state root is there.
    pub fn root_exists(&self) -> bool {
        self.root.path().is_dir()
    }

    fn load(&self, id: &ContainerId) -> Result<(ContainerDir, Record)> {
        let dir = self.root.container(id);
        let record = dir.record()?;
        Ok((dir, record))
    }

    fn load_locked(&self, id: &ContainerId) -> Result<(ContainerDir, Record, Lock)> {
        self.load_with_lock(id, LockKind::Exclusive)
    }

    fn load_with_lock(
        &self,
        id: &ContainerId,
        kind: LockKind,
    ) -> Result<(ContainerDir, Record, Lock)> {
        let dir = self.root.container(id);
        let lock = dir.lock(kind, LOCK_PATIENCE)?;
        let record = dir.record()?;
        Ok((dir, record, lock))
    }
}

/// Tells the engine the pid of a process that was made, where it asked for that.
fn write_pid(file: Option<&Path>, process: ProcessRef) -> Result<()> {
    let Some(path) = file else { return Ok(()) };
    write_pid_file(path, process.pid).map_err(|source| Error::Io {
        what: "cannot write the pid file",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_root_is_one_of_the_directory_that_the_runtime_was_made_in() {
        let here = std::env::current_dir().unwrap();
        let runtime = Runtime::new("state");
        assert_eq!(runtime.root.path(), here.join("state"));
    }
}
