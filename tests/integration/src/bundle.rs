//! Bundles on a simulated host: a config.json and a root filesystem.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::json;

use crate::host::SimulatedHost;
use crate::rootfs;
use crate::spec::Spec;

/// A bundle in the host's /run, which goes with the host.
#[derive(Debug)]
pub struct Bundle<'h> {
    host: &'h SimulatedHost,
    id: String,
    path: PathBuf,
}

impl<'h> Bundle<'h> {
    /// Writes a bundle for container `id`, in the place of an earlier one: `spec`, and a
    /// busybox root filesystem.
    ///
    /// # Panics
    /// When that fails: a test cannot go on.
    #[track_caller]
    #[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
    pub fn new(host: &'h SimulatedHost, id: &str, spec: Spec) -> Self {
        let path = Path::new("/run/bundles").join(id);
        let mut spec = spec;
        if spec.json()["linux"].get("cgroupsPath").is_none() {
            spec = spec.cgroups_path(&format!("{}/{id}", host.cgroup()));
        }
        let bundle = Self {
            host,
            id: id.to_owned(),
            path,
        };
        bundle.write(&spec).unwrap();
        bundle
    }

    /// The id of the container that it is for.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path in its root filesystem, as the host sees it; `path` is absolute in the
    /// container.
    pub fn in_rootfs(&self, path: &str) -> PathBuf {
        self.path.join("rootfs").join(path.trim_start_matches('/'))
    }

    /// The text of a file that the container wrote.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(&self, path: &str) -> Result<String> {
        let file = self.in_rootfs(path);
        self.host
            .inside(|| fs::read_to_string(&file))?
            .with_context(|| format!("cannot read {}", file.display()))
    }

    fn write(&self, spec: &Spec) -> Result<()> {
        self.host.inside(|| {
            if self.path.exists() {
                fs::remove_dir_all(&self.path)?;
            }
            fs::create_dir_all(&self.path)?;
            rootfs::create(&self.path.join("rootfs"))?;
            let config = serde_json::to_vec_pretty(&json!(spec.json()))?;
            fs::write(self.path.join("config.json"), config).context("cannot write config.json")
        })?
    }
}
