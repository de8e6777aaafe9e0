//! A config.json of anybody's: loaded, checked, and turned into the one that libcontainer reads.

use std::fs;
use std::sync::LazyLock;

use amd_runtime::ContainerId;
use amd_runtime::device_cgroup::{DeviceTable, rules_from_spec};
use amd_runtime::spec::Bundle;
use amd_runtime::spec::effective::effective;

static BUNDLE: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let dir = tempfile::tempdir().expect("a directory");
    fs::create_dir(dir.path().join("rootfs")).expect("a directory");
    dir
});

/// One input.
pub fn run(text: &[u8]) {
    fs::write(BUNDLE.path().join("config.json"), text).expect("a file");
    let Ok(bundle) = Bundle::load(BUNDLE.path()) else {
        return;
    };
    let id = ContainerId::new("c").expect("an id");
    let Ok(spec) = effective(bundle.spec, &id, &bundle.rootfs, false) else {
        return;
    };
    if let Ok(rules) = rules_from_spec(&spec["linux"]["resources"]["devices"]) {
        let _ = DeviceTable::of_container(&rules);
    }
}
