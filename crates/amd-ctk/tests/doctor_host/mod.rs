//! Hosts for `amd-ctk doctor`, and what it says of them.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "shared by test programs; a fixture may panic"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};

use serde_json::Value;

use crate::support::{Host, Outcome};

pub const BOARDS: [&str; 2] = ["0000:05:00.0", "0000:c1:00.0"];

/// Puts a PCI function on the bus.
pub fn on_bus(host: &Host, address: &str, vendor: &str, class: &str, driver: Option<&str>) {
    let device = format!("/sys/devices/pci0000:00/{address}");
    host.file(&format!("{device}/vendor"), &format!("{vendor}\n"));
    host.file(&format!("{device}/class"), &format!("{class}\n"));
    let bus = host.path().join("sys/bus/pci/devices");
    fs::create_dir_all(&bus).unwrap();
    symlink(
        format!("../../../devices/pci0000:00/{address}"),
        bus.join(address),
    )
    .unwrap();
    if let Some(driver) = driver {
        let link = host.path().join(device.trim_start_matches('/'));
        symlink(
            format!("../../../bus/pci/drivers/{driver}"),
            link.join("driver"),
        )
        .unwrap();
    }
}

/// A host whose GPUs amdgpu drives, with its device nodes, where this user may make them.
pub fn driven() -> Option<Host> {
    let host = Host::mixed();
    on_bus(&host, BOARDS[0], "0x1002", "0x120000", Some("amdgpu"));
    on_bus(&host, BOARDS[1], "0x1002", "0x030000", Some("amdgpu"));
    host.file("/sys/module/amdgpu/initstate", "live\n");
    host.file("/sys/module/amdgpu/version", "6.12.12\n");
    host.file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    host.file("/etc/group", "root:x:0:\nvideo:x:44:\nrender:x:109:\n");
    if !host.make_nodes() {
        return None;
    }
    for (node, gid) in [
        ("kfd", 109),
        ("dri/renderD128", 109),
        ("dri/renderD129", 109),
    ]
    .into_iter()
    .chain([("dri/renderD130", 109), ("dri/card1", 44)])
    .chain([("dri/card2", 44), ("dri/card3", 44)])
    {
        let node = host.path().join("dev").join(node);
        chown(&node, None, Some(gid)).unwrap();
        fs::set_permissions(node, Permissions::from_mode(0o660)).unwrap();
    }
    Some(host)
}

pub fn program(host: &Host, path: &str) {
    host.file(path, "#!/bin/true\n");
    let path = host.path().join(path.trim_start_matches('/'));
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

pub fn doctor(host: &Host) -> Outcome {
    host.amd_ctk(&["doctor"])
}

/// Status, detail and hint of a check.
pub fn check(host: &Host, name: &str) -> (String, String, String) {
    of_json(&host.amd_ctk(&["doctor", "--format", "json"]).stdout, name)
}

pub fn of_json(json: &str, name: &str) -> (String, String, String) {
    let diagnosis: Value = serde_json::from_str(json).unwrap();
    let checks = diagnosis["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name).unwrap();
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("detail"), text("hint"))
}

#[track_caller]
pub fn assert_check(host: &Host, name: &str, status: &str, detail: &str) {
    let (found, found_detail, hint) = check(host, name);
    assert_eq!((found.as_str(), found_detail.as_str()), (status, detail));
    assert_eq!(
        hint.is_empty(),
        matches!(status, "pass" | "not_applicable"),
        "{hint}"
    );
}
