//! A podman that `amd-ctk runtime configure` told of the runtime.

use std::path::Path;
use std::process::Command;

use integration::configure::configure;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x::{self, listing, nodes};
use integration::outcome::Outcome;
use integration::probe::{self, SHELL};
use integration::{require, rootfs};

const ROOTFS: &str = "/run/rootfs";

#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
fn host() -> Option<SimulatedHost> {
    if !require::programs(&["podman", "conmon", "busybox"]) {
        return None;
    }
    let host = require::host(mi300x::PRESET, Cgroups::V1)?;
    host.inside(|| rootfs::create(Path::new(ROOTFS)))
        .unwrap()
        .unwrap();
    Some(host)
}

#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
fn podman(host: &SimulatedHost, words: &[&str]) -> Outcome {
    let mut command = Command::new("podman");
    command
        .args(["--root", "/run/podman/root", "--runroot", "/run/podman/run"])
        .args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"])
        .args(["--events-backend", "none"])
        .args(words);
    Outcome::of(host, &mut command).unwrap()
}

/// What a container with two GPUs sees, with `options` of podman.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
fn two_gpus(host: &SimulatedHost, options: &[&str]) -> Vec<String> {
    let script = format!("{SHELL}gpus");
    let run = [
        "run",
        "--rm",
        "--network=none",
        "--cgroup-parent",
        host.cgroup(),
    ];
    let container = [
        "-e",
        "AMD_VISIBLE_DEVICES=0,1",
        "--rootfs",
        ROOTFS,
        "sh",
        "-c",
        &script,
    ];
    let words = [options, &run, &container].concat();
    listing(&probe::parse(&podman(host, &words).ok()))
}

#[test]
fn a_container_runs_by_the_name_that_was_configured() {
    let Some(host) = host() else { return };
    configure(&host, "podman", &[]).ok();
    assert_eq!(two_gpus(&host, &["--runtime=amd"]), nodes(&[0, 1]));
    // The others that podman knows are still there.
    assert!(two_gpus(&host, &["--runtime=runc"]).is_empty());
}

#[test]
fn a_container_runs_by_default_where_that_was_configured() {
    let Some(host) = host() else { return };
    configure(&host, "podman", &["--set-as-default"]).ok();
    assert_eq!(two_gpus(&host, &[]), nodes(&[0, 1]));
}

#[test]
fn podman_does_not_know_the_runtime_after_removal() {
    let Some(host) = host() else { return };
    configure(&host, "podman", &["--set-as-default"]).ok();
    configure(&host, "podman", &["--remove"]).ok();
    let outcome = podman(&host, &["--runtime=amd", "info"]);
    assert_ne!(outcome.code, 0, "{outcome}");
    podman(&host, &["info"]).ok();
}
