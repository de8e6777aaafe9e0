//! Containers whose limits are read from their cgroups.

use std::fs;
use std::path::PathBuf;

use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::outcome::Outcome;
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use serde_json::Value;

/// The id of the container, and the name of its cgroup.
pub const ID: &str = "c";

/// A host with v1 or v2, where the machine has it.
pub fn host(cgroups: Cgroups) -> Option<SimulatedHost> {
    require::host_with(mi300x::PRESET, cgroups)
}

/// A container that sleeps until it is killed.
pub fn sleeper() -> Spec {
    Spec::docker().args(&["sleep", "1000"])
}

/// The text of a file of the container's cgroup, on v1 in the hierarchy that its name begins with.
#[track_caller]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test stands on it")]
pub fn value(host: &SimulatedHost, file: &str) -> String {
    let all = host.cgroups().unwrap();
    let files = all
        .iter()
        .filter(|dir| dir.ends_with(ID))
        .map(|dir| dir.join(file));
    let read = || {
        files
            .filter_map(|file| fs::read_to_string(file).ok())
            .next()
    };
    let text = host.inside(read).unwrap();
    text.unwrap_or_else(|| panic!("no {file} among {all:?}"))
        .trim()
        .to_owned()
}

/// The directory of the container's cgroup in a hierarchy of v1.
pub fn dir(host: &SimulatedHost, hierarchy: &str) -> PathBuf {
    PathBuf::from(format!("/sys/fs/cgroup/{hierarchy}{}/{ID}", host.cgroup()))
}

/// `update` with these options.
pub fn update(runtime: &Runtime<'_>, options: &str) -> Outcome {
    let words = options.split_whitespace();
    runtime.call(
        &["update"]
            .into_iter()
            .chain(words)
            .chain([ID])
            .collect::<Vec<_>>(),
    )
}

/// `update` with this file of limits.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
pub fn update_from_file(host: &SimulatedHost, runtime: &Runtime<'_>, resources: &Value) -> Outcome {
    let path = "/run/bundles/resources.json";
    host.inside(|| fs::write(path, resources.to_string()))
        .unwrap()
        .unwrap();
    runtime.call(&["update", "--resources", path, ID])
}

/// The numbers of a whole block device of this machine.
pub fn block_device() -> Option<(u32, u32)> {
    let mut entries = fs::read_dir("/sys/block").ok()?.flatten();
    entries.find_map(|entry| {
        let name = entry.file_name();
        let name = name.to_str()?;
        if name.starts_with("loop") || name.starts_with("ram") {
            return None;
        }
        let dev = fs::read_to_string(entry.path().join("dev")).ok()?;
        let (major, minor) = dev.trim().split_once(':')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    })
}
