//! Where the files of the tracker are.

use std::path::PathBuf;

use discovery::HostRoot;

/// The files of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    host: HostRoot,
}

impl Files {
    /// Those of the host whose root directory is `host`.
    pub fn new(host: HostRoot) -> Self {
        Self { host }
    }

    /// The settings.
    pub fn settings(&self) -> PathBuf {
        self.host
            .join("/var/lib/amd-container-toolkit/gpu-tracker.json")
    }

    /// What there is only where the tracker is on.
    pub fn run(&self) -> PathBuf {
        self.host.join("/run/amd-gpu-tracker")
    }

    /// Who may take a reservation now.
    pub fn lock(&self) -> PathBuf {
        self.run().join("lock")
    }

    /// The index of who has exclusive GPUs.
    pub fn holders(&self) -> PathBuf {
        self.run().join("exclusive.json")
    }

    /// Links to the state roots.
    pub fn roots(&self) -> PathBuf {
        self.host.join("/run/amd-container-toolkit/roots")
    }

    /// The proc file system of the host.
    pub fn proc(&self) -> PathBuf {
        self.host.join("/proc")
    }

    /// A path of the host, as this process finds it.
    pub fn on_host(&self, path: impl AsRef<std::path::Path>) -> PathBuf {
        self.host.join(path)
    }
}
