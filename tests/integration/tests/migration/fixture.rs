//! A host of eight GPUs with both programs.

#![allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]

use std::fs;
use std::path::Path;
use std::process::Command;

use integration::binary;
use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x::{self, listing};
use integration::outcome::Outcome;
use integration::probe::{self, SHELL};
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;

/// Where docker has its configuration.
pub const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// A host of eight GPUs, where the machine can have one.
pub fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, Cgroups::V1)
}

/// Runs `amd-ctk` with `words`.
#[track_caller]
pub fn ctk(host: &SimulatedHost, words: &[&str]) -> Outcome {
    let mut ctk = Command::new(binary::ours("amd-ctk", "amd-ctk").unwrap());
    Outcome::of(host, ctk.args(words)).unwrap()
}

/// Runs `amd-ctk runtime configure` with `words`, for docker and the runtime under test.
#[track_caller]
pub fn configure(host: &SimulatedHost, words: &[&str]) -> Outcome {
    integration::configure::configure(host, "docker", words)
}

/// Writes a file on the host, in the place of one that is there.
#[track_caller]
pub fn write(host: &SimulatedHost, path: &str, text: impl AsRef<[u8]> + Send + Sync) {
    host.inside(|| {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, &text).unwrap();
    })
    .unwrap();
}

/// The bytes of a file on the host, None where there is none.
#[track_caller]
pub fn read(host: &SimulatedHost, path: impl AsRef<Path> + Send) -> Option<Vec<u8>> {
    host.inside(|| fs::read(path).ok()).unwrap()
}

/// The text of a file on the host.
#[track_caller]
pub fn text(host: &SimulatedHost, path: impl AsRef<Path> + Send) -> String {
    String::from_utf8(read(host, path).unwrap()).unwrap()
}

/// A spec that asks for GPUs, and whose program tells of those it has.
pub fn looks(request: &str) -> Spec {
    Spec::docker()
        .env(&format!("AMD_VISIBLE_DEVICES={request}"))
        .sh(&format!("{SHELL}gpus"))
}

/// The device nodes that a container of this spec has.
#[track_caller]
pub fn granted(host: &SimulatedHost, spec: Spec) -> Vec<String> {
    let bundle = Bundle::new(host, "c", spec);
    let output = Runtime::under_test(host).run(&bundle).ok();
    listing(&probe::parse(&output))
}
