//! What `amd-ctk gpu-tracker` says and does on a host with containers.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use integration::binary;
use integration::bundle::Bundle;
use integration::runtime::Runtime;
use serde_json::{Value, json};

use crate::fixture::{
    SETTINGS, assert_in_use, bundle, ctk, exists, holders, host, host_with_exclusive, sleeper,
    status, write,
};

/// The example in the manual.
fn documented() -> Value {
    let manual = include_str!("../../../../docs/output-formats.md");
    let section = manual.split("\n## `amd-ctk gpu-tracker status`").nth(1);
    let example = section.unwrap().split("```json").nth(1).unwrap();
    serde_json::from_str(example.split("```").next().unwrap()).unwrap()
}

fn keys(value: &Value) -> Vec<String> {
    value.as_object().unwrap().keys().cloned().collect()
}

#[test]
fn enable_finds_containers_that_run() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "a", "0"));
    runtime.up(&bundle(&host, "gone", "0"));
    runtime.call(&["delete", "--force", "gone"]).ok();
    assert_eq!(ctk(&host, &["status"]).ok(), "GPU Tracker is disabled\n");
    assert_eq!(
        ctk(&host, &["enable"]).ok(),
        "GPU Tracker has been enabled\n1 container with GPUs already running\n"
    );
    let again = ctk(&host, &["enable"]).ok();
    assert!(
        again.starts_with("GPU Tracker is already enabled\n"),
        "{again}"
    );
    ctk(&host, &["0", "exclusive"]).ok();
    assert_in_use(runtime.create(&bundle(&host, "b", "0")), "0", "a");
}

#[test]
fn gpus_are_made_exclusive_and_shared_unless_several_containers_have_them() {
    let Some(host) = host_with_exclusive("7") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "a", "0,1"));
    runtime.up(&bundle(&host, "b", "0"));
    let outcome = ctk(&host, &["0-2", "exclusive"]);
    assert_eq!(outcome.stdout, "GPUs [1 2] have been made exclusive\n");
    let stderr = outcome.fails(1);
    let message = "GPUs [0] have not been made exclusive because more than one container is \
                   currently using it (GPU 0: a, b)";
    assert!(stderr.contains(message), "{stderr}");
    assert_eq!(
        ctk(&host, &["all", "shared"]).ok(),
        "GPUs [0 1 2 3 4 5 6 7] have been made shared\n"
    );
}

#[test]
fn what_names_no_gpu_changes_nothing() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let before = status(&host);
    for (gpus, message) in [
        ("1,99", "\"99\" names no GPU on this host"),
        ("3-1", "\"3-1\" names no GPU"),
        ("none", "asks for no GPU"),
    ] {
        let stderr = ctk(&host, &[gpus, "exclusive"]).fails(1);
        assert!(stderr.contains(message), "{stderr}");
        assert!(stderr.contains("hint: "), "{stderr}");
    }
    let stderr = ctk(&host, &["0", "private"]).fails(2);
    assert!(
        stderr.contains("[possible values: exclusive, shared]"),
        "{stderr}"
    );
    ctk(&host, &["0"]).fails(2);
    assert_eq!(status(&host), before);
    ctk(&host, &["disable"]).ok();
    let stderr = ctk(&host, &["1", "exclusive"]).fails(1);
    assert!(stderr.contains("GPU Tracker is disabled"), "{stderr}");
}

#[test]
fn status_shows_containers_with_what_is_known_of_them() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let spec = sleeper("0,1").annotation("io.kubernetes.cri.image-name", "rocm/pytorch:7");
    runtime.up(&Bundle::new(&host, "a", spec));
    runtime.up(&bundle(&host, "b", "1"));
    let device = "/sys/bus/pci/devices/0000:05:00.0";
    write(
        &host,
        &format!("{device}/mem_info_vram_used"),
        "3221225472\n",
    );
    write(&host, &format!("{device}/gpu_busy_percent"), "42\n");

    let table = ctk(&host, &["status"]).ok();
    let lines: Vec<Vec<&str>> = table
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|s| !s.is_empty())
                .collect()
        })
        .collect();
    assert_eq!(
        lines[0][..4],
        ["GPU Id", "UUID", "Accessibility", "Container Ids"]
    );
    let pid = runtime.state("a")["pid"].to_string();
    let uuid = status(&host)["gpus"][0]["uuid"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(lines[1][..5], ["0", &uuid, "Exclusive", "a", &pid]);
    assert_eq!(lines[1][7..], ["rocm/pytorch:7", "3 GiB", "42%"]);
    assert_eq!(lines[2][2..4], ["Shared", "a"]);
    // The second container of a GPU has a line of its own.
    assert_eq!(lines[3][0], "b");
    assert_eq!(lines[4][2..4], ["Shared", "-"]);
    assert_eq!(lines.len(), 10);

    let status = status(&host);
    assert_eq!(status["enabled"], true);
    let gpu = &status["gpus"][0];
    assert_eq!(gpu["memory_used_bytes"], 3_221_225_472_u64);
    assert_eq!(gpu["busy_percent"], 42);
    let container = &gpu["containers"][0];
    assert_eq!(container["image"], "rocm/pytorch:7");
    assert_eq!(container["bundle"], "/run/bundles/a");
    assert_eq!(container["root"], "/run/runtime-root");
    assert_eq!(status["gpus"][1]["memory_used_bytes"], json!(null));
    assert_eq!(keys(gpu), keys(&documented()["gpus"][0]));
    assert_eq!(
        keys(container),
        keys(&documented()["gpus"][0]["containers"][0])
    );
    assert_eq!(keys(&status), keys(&documented()));
}

#[test]
fn watch_shows_the_status_again_and_again() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let mut ctk = Command::new(binary::ours("amd-ctk", "amd-ctk").unwrap());
    ctk.args(["gpu-tracker", "status", "--watch", "0.1"]);
    let mut watch = host.spawn(ctk.stdout(Stdio::piped())).unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut wait_for = |what: &str| {
        // It ends with the host at the latest.
        assert!(lines.any(|line| line.unwrap().contains(what)), "{what}");
    };
    wait_for("GPU Id");
    runtime.up(&bundle(&host, "late-container", "0"));
    wait_for("late-container");
    wait_for("late-container");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn release_takes_gpus_from_a_living_container_by_force_alone() {
    let Some(host) = host_with_exclusive("0,1") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "container-1", "0,1"));
    let stderr = ctk(&host, &["release", "container-1"]).fails(1);
    assert!(stderr.contains("--force"), "{stderr}");
    assert_eq!(holders(&host, 0), ["container-1"]);
    assert_eq!(
        ctk(&host, &["release", "contain", "--force"]).ok(),
        "Released GPUs [0 1] used by container container-1\n"
    );
    runtime.up(&bundle(&host, "b", "0"));
    assert_eq!(holders(&host, 0), ["b"]);
    let stderr = ctk(&host, &["release", "container-1"]).fails(1);
    assert!(
        stderr.contains("no container \"container-1\" has GPUs"),
        "{stderr}"
    );
    runtime.call(&["delete", "--force", "container-1"]).ok();
}

#[test]
fn settings_of_the_go_toolkit_are_taken_over_once() {
    let Some(host) = host() else { return };
    let uuid = |gpu: usize| status(&host)["gpus"][gpu]["uuid"].clone();
    let entry = |gpu: usize, exclusive: u8| {
        json!({"uuid": uuid(gpu), "partitionType": "SPX", "accessibility": exclusive,
            "containerIds": ["long-gone"]})
    };
    let old = json!({"enabled": true, "gpusStatus": {"0": entry(2, 1), "1": entry(1, 0)},
        "gpusInfo": {}});
    write(&host, "/var/log/gpu-tracker.json", &old.to_string());
    assert_eq!(
        ctk(&host, &["init"]).ok(),
        "imported from /var/log/gpu-tracker.json: 1 exclusive GPUs\n\
         GPU Tracker has been initialized\n"
    );
    let imported = status(&host);
    assert_eq!(imported["enabled"], true);
    assert_eq!(imported["gpus"][2]["accessibility"], "exclusive");
    assert_eq!(imported["gpus"][0]["accessibility"], "shared");
    assert_eq!(holders(&host, 1), Vec::<String>::new());
    assert_eq!(
        ctk(&host, &["init"]).ok(),
        "GPU Tracker is already initialized\n"
    );
    ctk(&host, &["reset"]).ok();
    ctk(&host, &["enable"]).ok();
    assert_eq!(status(&host)["gpus"][2]["accessibility"], "shared");
    assert!(exists(&host, SETTINGS));
}
