//! Containers whose limits are read from their cgroups.

use std::fs;
use std::path::PathBuf;

use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::require;
use integration::spec::Spec;

/// The id of the container, and the name of its cgroup.
pub const ID: &str = "c";

pub fn host(cgroups: Cgroups) -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, cgroups)
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
