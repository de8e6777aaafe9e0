//! A host of eight GPUs with the tracker, and containers that wait on it.

#![allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]

use std::fs;
use std::path::Path;
use std::process::Command;

use integration::binary;
use integration::bundle::Bundle;
use integration::host::SimulatedHost;
use integration::mi300x;
use integration::outcome::Outcome;
use integration::require;
use integration::spec::Spec;
use serde_json::Value;

/// Where the settings are.
pub const SETTINGS: &str = "/var/lib/amd-container-toolkit/gpu-tracker.json";

/// What there is only where the tracker is on.
pub const RUN: &str = "/run/amd-gpu-tracker";

/// A host of eight GPUs, where the machine can have one.
pub fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, crate::CGROUPS)
}

/// One on which the tracker is on, and these GPUs are exclusive.
pub fn host_with_exclusive(gpus: &str) -> Option<SimulatedHost> {
    let host = host()?;
    ctk(&host, &["enable"]).ok();
    ctk(&host, &[gpus, "exclusive"]).ok();
    Some(host)
}

/// `amd-ctk gpu-tracker` with `words`.
#[track_caller]
pub fn ctk(host: &SimulatedHost, words: &[&str]) -> Outcome {
    let mut ctk = Command::new(binary::ours("amd-ctk", "amd-ctk").unwrap());
    Outcome::of(host, ctk.arg("gpu-tracker").args(words)).unwrap()
}

/// `amd-ctk gpu-tracker status --format json`.
#[track_caller]
pub fn status(host: &SimulatedHost) -> Value {
    serde_json::from_str(&ctk(host, &["status", "--format", "json"]).ok()).unwrap()
}

/// The ids of the containers that have a GPU.
#[track_caller]
pub fn holders(host: &SimulatedHost, gpu: usize) -> Vec<String> {
    let status = status(host);
    let containers = status["gpus"][gpu]["containers"].as_array().unwrap();
    containers
        .iter()
        .map(|container| container["id"].as_str().unwrap().to_owned())
        .collect()
}

/// A spec that asks for GPUs and runs until it is killed.
pub fn sleeper(request: &str) -> Spec {
    Spec::docker()
        .env(&format!("AMD_VISIBLE_DEVICES={request}"))
        .args(&["sleep", "1000"])
}

/// A bundle of [`sleeper`].
pub fn bundle<'h>(host: &'h SimulatedHost, id: &str, request: &str) -> Bundle<'h> {
    Bundle::new(host, id, sleeper(request))
}

/// Checks that a create was refused the GPUs with these indices, since `holder` has them.
#[track_caller]
pub fn assert_in_use(outcome: Outcome, gpus: &str, holder: &str) {
    let stderr = outcome.fails(1);
    let message = format!("GPUs [{gpus}] are exclusive and already in use: GPU ");
    assert!(stderr.contains(&message), "{stderr}");
    assert!(
        stderr.contains(&format!(") by container {holder} (pid ")),
        "{stderr}"
    );
    assert!(stderr.contains("amd-ctk gpu-tracker status"), "{stderr}");
}

/// Whether there is such a file on the host.
#[track_caller]
pub fn exists(host: &SimulatedHost, path: impl AsRef<Path> + Send + Sync) -> bool {
    host.inside(|| path.as_ref().exists()).unwrap()
}

/// Writes a file on the host, in the place of one that is there.
#[track_caller]
pub fn write(host: &SimulatedHost, path: &str, text: &str) {
    host.inside(|| {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    })
    .unwrap();
}
