//! What a driver may write for a KFD node, on a host with one board.

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use discovery::{HostRoot, Inventory};

struct Simulated {
    host: HostRoot,
    properties: PathBuf,
    _dir: tempfile::TempDir,
}

static HOST: LazyLock<Simulated> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory");
    let write = |path: &str, text: &str| {
        let path = dir.path().join("sys").join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(&path, text).expect("a file");
        path
    };
    write("bus/pci/drivers/amdgpu/0000:05:00.0/device", "0x74a1\n");
    write("class/kfd/kfd/topology/nodes/1/gpu_id", "7\n");
    write("class/kfd/kfd/topology/nodes/1/name", "\n");
    Simulated {
        properties: write("class/kfd/kfd/topology/nodes/1/properties", ""),
        host: HostRoot::new(dir.path()),
        _dir: dir,
    }
});

/// One input.
pub fn run(text: &[u8]) {
    fs::write(&HOST.properties, text).expect("a file");
    let full = Inventory::discover(&HOST.host).expect("a host");
    let short = Inventory::identify(&HOST.host).expect("a host");
    assert_eq!(full.gpus.len(), short.gpus.len());
    assert_eq!(full.gpus.len(), 1);
}
