//! Inventories as tables.

use std::path::Path;

use discovery::{Gpu, HostRoot, Inventory};
use integration::host::Host;

/// A host whose `/sys` is written out.
pub struct Written {
    directory: tempfile::TempDir,
}

impl Written {
    #[track_caller]
    #[allow(clippy::unwrap_used, reason = "a test stands on it")]
    pub fn new(host: &Host) -> Self {
        let directory = tempfile::tempdir().unwrap();
        host.write_sys(&directory.path().join("sys")).unwrap();
        Self { directory }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn root(&self) -> HostRoot {
        HostRoot::new(self.path())
    }

    #[track_caller]
    #[allow(clippy::unwrap_used, reason = "a test stands on it")]
    pub fn inventory(&self) -> Inventory {
        Inventory::discover(&self.root()).unwrap()
    }
}

/// The inventory of a host.
#[track_caller]
pub fn inventory(host: &Host) -> Inventory {
    Written::new(host).inventory()
}

/// Asserts that discovery lists the GPUs of `expected`, a line each: index, PCI address, partition
/// (mode/number), card, render node, UUID, and KFD node or `graphics`; `-` for none.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
pub fn assert_gpus(host: &Host, expected: &str) {
    let written = Written::new(host);
    let expected: Vec<String> = expected
        .lines()
        .map(words)
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(rows(&written.inventory()), expected);
    assert_eq!(
        rows(&Inventory::identify(&written.root()).unwrap()),
        expected
    );
}

fn rows(inventory: &Inventory) -> Vec<String> {
    inventory.gpus.iter().map(row).collect()
}

fn row(gpu: &Gpu) -> String {
    let partition = gpu.partition.as_ref().map(|partition| {
        format!(
            "{}/{}",
            partition.compute_mode.as_deref().unwrap_or("?"),
            partition.index
        )
    });
    let name = |path: &Option<_>| path.as_deref().and_then(Path::file_name).map(name_of);
    let columns = [
        Some(gpu.index.to_string()),
        Some(gpu.pci.to_string()),
        partition,
        name(&gpu.card),
        name(&gpu.render),
        gpu.uuid.map(|uuid| uuid.to_string()),
        Some(
            gpu.compute
                .as_ref()
                .map_or("graphics".into(), |node| format!("node{}", node.node_id)),
        ),
    ];
    columns
        .map(|column| column.unwrap_or_else(|| "-".into()))
        .join(" ")
}

fn name_of(name: &std::ffi::OsStr) -> String {
    name.to_string_lossy().into_owned()
}

fn words(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
