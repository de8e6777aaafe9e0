//! `amd-ctk` on simulated hosts.

#![allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use integration::binary;
use integration::host::{Cgroups, Host, SimulatedHost};
use integration::outcome::Outcome;
use integration::require;
use serde_json::Value;

/// Where `amd-ctk cdi generate` writes.
pub const SPEC: &str = "/etc/cdi/amd.json";

/// The program.
pub fn program() -> PathBuf {
    binary::ours("amd-ctk", "amd-ctk").unwrap()
}

/// A host of a preset, where the machine can have one.
pub fn host(preset: &str) -> Option<SimulatedHost> {
    require::host(preset, Cgroups::V1)
}

/// A host of one's own, where the machine can have one.
pub fn start(machine: &Host) -> Option<SimulatedHost> {
    require::root().then(|| SimulatedHost::start(machine, Cgroups::V1).unwrap())
}

/// Runs `amd-ctk` with `words`.
#[track_caller]
pub fn ctk(host: &SimulatedHost, words: &[&str]) -> Outcome {
    Outcome::of(host, Command::new(program()).args(words)).unwrap()
}

/// Runs another program.
#[track_caller]
pub fn call(host: &SimulatedHost, program: &str, words: &[&str]) -> Outcome {
    Outcome::of(host, Command::new(program).args(words)).unwrap()
}

/// The text of a file on the host.
#[track_caller]
pub fn read(host: &SimulatedHost, path: impl AsRef<Path> + Send) -> String {
    host.inside(|| fs::read_to_string(path)).unwrap().unwrap()
}

/// The names of the files in a directory on the host, sorted.
#[track_caller]
pub fn names(host: &SimulatedHost, dir: &str) -> Vec<String> {
    let mut names: Vec<String> = host
        .inside(|| fs::read_dir(dir))
        .unwrap()
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The spec that `amd-ctk cdi generate` makes with `words`.
#[track_caller]
pub fn spec(host: &SimulatedHost, words: &[&str]) -> Value {
    let generate = ["cdi", "generate", "--output", "-"];
    let text = ctk(host, &[&generate, words].concat()).ok();
    serde_json::from_str(&text).unwrap()
}
