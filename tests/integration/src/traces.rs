//! What a container can leave behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::host::SimulatedHost;

/// Everything on a simulated host that a container or its runtime can leave behind:
/// processes, cgroups, mounts, and files below /run, among which are those written to /etc
/// and /var/lib. Not what stays by design: bundles, and the links to state roots.
#[derive(Debug)]
pub struct Traces(BTreeSet<String>);

impl Traces {
    /// What there is now.
    ///
    /// # Panics
    /// When it cannot be read.
    #[track_caller]
    #[allow(clippy::unwrap_used, reason = "a test stands on it")]
    pub fn of(host: &SimulatedHost) -> Self {
        let mut all = BTreeSet::new();
        all.extend(
            host.processes()
                .unwrap()
                .iter()
                .map(|line| format!("process {line}")),
        );
        all.extend(
            host.cgroups()
                .unwrap()
                .iter()
                .map(|dir| format!("cgroup {}", dir.display())),
        );
        let read = || mounts(&mut all).and_then(|()| files(Path::new("/run"), &mut all));
        host.inside(read).unwrap().unwrap();
        Self(all)
    }

    /// What there is now and was not before.
    pub fn beyond<'a>(&'a self, before: &'a Self) -> Vec<&'a str> {
        self.0.difference(&before.0).map(String::as_str).collect()
    }
}

fn mounts(all: &mut BTreeSet<String>) -> Result<()> {
    let table = fs::read_to_string("/proc/1/mounts").context("cannot read /proc/1/mounts")?;
    all.extend(table.lines().map(|line| format!("mount {line}")));
    Ok(())
}

/// Bundles, which containers may write to, and the links to state roots by which the GPU
/// tracker finds containers: one for each root, until the host boots.
const STAYS: [&str; 2] = ["/run/bundles", "/run/amd-container-toolkit"];

fn files(dir: &Path, all: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let entry = entry?;
        let path = entry.path();
        if STAYS.iter().any(|stays| path == Path::new(stays)) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            files(&path, all)?;
        }
        all.insert(format!("file {}", path.display()));
    }
    Ok(())
}
