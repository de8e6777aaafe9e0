//! A container has the same GPUs, whether an engine reads the CDI spec or the runtime is asked.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::process::Command;

use integration::bundle::Bundle;
use integration::host::SimulatedHost;
use integration::mi300x::{self, listing, nodes};
use integration::outcome::Outcome;
use integration::probe::{self, SHELL, Seen};
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use serde_json::Value;

use crate::fixture::{ctk, host, read, spec};

const ALL_NAMES: [&str; 3] = [
    "--device-name-strategy",
    "index,uuid,pci",
    "--additional-gids",
];

/// The paths of the device nodes, and the groups, of a device of a CDI spec.
fn by_cdi(device: &Value) -> (Vec<String>, Vec<u64>) {
    let edits = &device["containerEdits"];
    (paths(&edits["deviceNodes"]), gids(&edits["additionalGids"]))
}

/// Those that the runtime adds to a container that asks for `name` and is not root.
#[track_caller]
fn by_runtime(host: &SimulatedHost, name: &str) -> (Vec<String>, Vec<u64>) {
    let runtime = Runtime::under_test(host);
    let spec = Spec::docker()
        .env(&format!("AMD_VISIBLE_DEVICES={name}"))
        .user(1000, 1000)
        .args(&["true"]);
    let bundle = Bundle::new(host, "c", spec);
    runtime.create(&bundle).ok();
    let effective = read(host, runtime.root().join("c/spec.json"));
    runtime.call(&["delete", "--force", "c"]).ok();
    let effective: Value = serde_json::from_str(&effective).unwrap();
    let user = &effective["process"]["user"];
    (
        paths(&effective["linux"]["devices"]),
        gids(&user["additionalGids"]),
    )
}

fn paths(nodes: &Value) -> Vec<String> {
    let nodes = nodes.as_array().into_iter().flatten();
    nodes
        .map(|node| node["path"].as_str().unwrap().to_owned())
        .collect()
}

fn gids(gids: &Value) -> Vec<u64> {
    let gids = gids.as_array().into_iter().flatten();
    gids.map(|gid| gid.as_u64().unwrap()).collect()
}

/// That devices and runtime agree: on all devices of the host's spec, or on those of `names`.
#[track_caller]
fn assert_same(preset: &str, names: &[&str]) {
    let Some(host) = host(preset) else { return };
    let spec = spec(&host, &ALL_NAMES);
    let mut compared = 0;
    for device in spec["devices"].as_array().unwrap() {
        let name = device["name"].as_str().unwrap();
        if !names.is_empty() && !names.contains(&name) {
            continue;
        }
        let by_cdi = by_cdi(device);
        assert!(!by_cdi.0.is_empty() && !by_cdi.1.is_empty(), "{device}");
        let name = format!("amd.com/gpu={name}");
        assert_eq!(by_cdi, by_runtime(&host, &name), "{preset}: {name}");
        compared += 1;
    }
    assert!(compared >= 3, "{spec}");
}

#[test]
fn the_same_gpus_on_a_host_of_eight() {
    assert_same("mi300x-8", &["0", "7", "0000:26:00.0", "all"]);
}

#[test]
fn the_same_gpus_on_a_host_of_several_makes() {
    assert_same("mixed", &[]);
}

#[test]
fn the_same_partitions_where_each_has_a_uuid() {
    assert_same("mi300x-1-dpx", &[]);
}

#[test]
fn the_same_partitions_where_they_share_names() {
    assert_same("mi300x-8-cpx", &["63", "0000:e5:00.0", "all"]);
}

/// A podman with its files on the host's tmpfs, which starts containers with runc: crun 1.8
/// refuses hybrid cgroups.
fn podman(host: &SimulatedHost, words: &[&str]) -> Outcome {
    let mut podman = Command::new("podman");
    podman
        .args(["--root", "/run/podman/root", "--runroot", "/run/podman/run"])
        .args(["--tmpdir", "/run/podman/tmp", "--storage-driver", "vfs"])
        .args(["--cgroup-manager", "cgroupfs", "--events-backend", "none"])
        .args(["--runtime", "runc"])
        .args(words);
    Outcome::of(host, &mut podman).unwrap()
}

/// What a container sees that podman starts with these devices.
#[track_caller]
fn look_by_podman(host: &SimulatedHost, devices: &[&str]) -> Vec<Seen> {
    let script = format!("{SHELL}gpus; {}", mi300x::forge(7));
    let bundle = Bundle::new(host, "podman", Spec::docker());
    let rootfs = bundle.in_rootfs("/");
    let mut words = vec!["run", "--rm", "--network=none", "--cap-add=MKNOD"];
    words.push("--cgroup-parent");
    words.push(host.cgroup());
    for device in devices {
        words.extend(["--device", device]);
    }
    words.extend(["--rootfs", rootfs.to_str().unwrap(), "sh", "-c", &script]);
    probe::parse(&podman(host, &words).ok())
}

fn can_podman() -> bool {
    require::programs(&["podman", "conmon", "runc"])
}

#[test]
fn podman_gives_the_gpus_of_the_spec_and_no_others() {
    if !can_podman() {
        return;
    }
    let Some(host) = host(mi300x::PRESET) else {
        return;
    };
    // The version that every podman with CDI knows.
    ctk(&host, &["cdi", "generate", "--cdi-version", "0.5.0"]).ok();
    let seen = look_by_podman(&host, &["amd.com/gpu=0", "amd.com/gpu=1"]);
    let (forged, granted): (Vec<Seen>, Vec<Seen>) = seen
        .into_iter()
        .partition(|seen| seen.path.starts_with("/tmp/forged"));
    let numbers = |lines: Vec<String>| -> Vec<String> {
        let first_two = |line: String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        lines.into_iter().map(first_two).collect()
    };
    // Mode and owner are for podman to choose: it makes them 0666.
    assert_eq!(numbers(listing(&granted)), numbers(nodes(&[0, 1])));
    assert!(granted.iter().all(Seen::allowed), "{granted:#?}");
    assert!(
        forged.len() == 2 && forged.iter().all(Seen::denied),
        "{forged:#?}"
    );
}

#[test]
fn podman_finds_gpus_by_pci_address_and_all_of_them() {
    if !can_podman() {
        return;
    }
    let Some(host) = host(mi300x::PRESET) else {
        return;
    };
    let names = ["--device-name-strategy", "pci", "--cdi-version", "0.5.0"];
    ctk(&host, &[&["cdi", "generate"], &names[..]].concat()).ok();
    let gpus = |device: &str| {
        let seen = look_by_podman(&host, &[device]);
        seen.iter()
            .filter(|seen| seen.path.starts_with("/dev/dri/renderD"))
            .count()
    };
    assert_eq!(gpus("amd.com/gpu=0000:05:00.0"), 1);
    assert_eq!(gpus("amd.com/gpu=all"), 8);
}

#[test]
fn the_spec_of_before_a_reboot_gives_the_nodes_of_after() {
    if !can_podman() {
        return;
    }
    let Some(host) = host(mi300x::PRESET) else {
        return;
    };
    ctk(&host, &["cdi", "generate", "--cdi-version", "0.5.0"]).ok();
    // Another major number than the 511 of before.
    host.inside(|| fs::remove_file("/dev/kfd"))
        .unwrap()
        .unwrap();
    crate::fixture::call(&host, "mknod", &["/dev/kfd", "c", "510", "0"]).ok();
    let seen = look_by_podman(&host, &["amd.com/gpu=0"]);
    let kfd = seen.iter().find(|seen| seen.path == "/dev/kfd").unwrap();
    assert_eq!((kfd.major, kfd.allowed()), (510, true), "{kfd:#?}");
}
