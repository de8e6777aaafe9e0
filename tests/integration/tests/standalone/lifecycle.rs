//! What a container is told and tells from `create` to `delete`.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::runtime::{Runtime, eventually};
use integration::spec::Spec;
use serde_json::json;

use crate::fixture::{TWO_GPUS, host, sleeper};

#[test]
fn a_container_is_created_runs_and_stops() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", sleeper(Spec::docker().env(TWO_GPUS)));

    runtime.create(&bundle).ok();
    let state = runtime.state("c");
    assert_eq!(
        (&state["id"], &state["status"]),
        (&json!("c"), &json!("created"))
    );
    assert_eq!(state["bundle"], json!(bundle.path()));

    runtime.start("c").ok();
    let state = runtime.state("c");
    assert_eq!(state["status"], "running");
    let program = format!("/proc/{}/cmdline", state["pid"]);
    eventually("the program runs", || {
        let line = host.inside(|| fs::read_to_string(&program)).unwrap();
        line.is_ok_and(|line| line == "sleep\x001000\0")
    });

    runtime.kill("c", "KILL").ok();
    runtime.wait_stopped("c");

    runtime.delete("c").ok();
    assert_ne!(runtime.call(&["state", "c"]).code, 0);
}

#[test]
fn a_created_container_does_not_run_its_program() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(
        &host,
        "c",
        Spec::docker().env(TWO_GPUS).sh("echo ran > /out/ran"),
    );
    runtime.create(&bundle).ok();
    assert!(bundle.read("/out/ran").is_err());
    runtime.start("c").ok();
    runtime.wait_stopped("c");
    assert_eq!(bundle.read("/out/ran").unwrap(), "ran\n");
}

#[test]
fn fields_that_the_runtime_does_not_know_survive() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let unknown = json!({"nested": [1, 2.5, "three", null]});
    let spec = sleeper(Spec::docker().env(TWO_GPUS))
        .set("/futureSection", unknown.clone())
        .set("/process/futureField", unknown.clone())
        .set("/linux/futureField", unknown.clone());
    runtime.up(&Bundle::new(&host, "c", spec));
    let effective = runtime.root().join("c/spec.json");
    let text = host
        .inside(|| fs::read_to_string(effective))
        .unwrap()
        .unwrap();
    let effective: serde_json::Value = serde_json::from_str(&text).unwrap();
    let fields = [
        "/futureSection",
        "/process/futureField",
        "/linux/futureField",
    ];
    assert_eq!(
        fields.map(|field| effective.pointer(field)),
        [Some(&unknown); 3]
    );
}

#[test]
fn annotations_are_in_the_state() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = sleeper(Spec::docker().env(TWO_GPUS)).annotation("org.example.key", "value");
    runtime.create(&Bundle::new(&host, "c", spec)).ok();
    assert_eq!(
        runtime.state("c")["annotations"]["org.example.key"],
        "value"
    );
}

/// What docker sends for each limit that `docker update` was not told to change.
const ZEROS: &str = r#"{
    "memory": {"limit": 0, "swap": 0, "reservation": 0},
    "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""},
    "blockIO": {"weight": 0}
}"#;

#[test]
fn zeros_in_an_update_change_nothing() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let mut spec = sleeper(Spec::docker());
    if crate::CGROUPS == Cgroups::V1 {
        let limits = [
            ("memory", json!({"limit": 64 << 20})),
            (
                "cpu",
                json!({"shares": 512, "quota": 50_000, "period": 100_000}),
            ),
            ("pids", json!({"limit": 20})),
        ];
        for (name, limit) in limits {
            spec = spec.set(&format!("/linux/resources/{name}"), limit);
        }
    }
    runtime.up(&Bundle::new(&host, "c", spec));
    let before = limits(&host);
    let zeros = "/run/bundles/zeros.json";
    host.inside(|| fs::write(zeros, ZEROS)).unwrap().unwrap();
    runtime.call(&["update", "--resources", zeros, "c"]).ok();
    assert_eq!(limits(&host), before);
}

/// The limits in all cgroups of containers, by file.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn limits(host: &SimulatedHost) -> BTreeMap<PathBuf, String> {
    const FILES: [&str; 8] = [
        "memory.limit_in_bytes",
        "cpu.shares",
        "cpu.cfs_quota_us",
        "cpu.cfs_period_us",
        "pids.max",
        "memory.max",
        "cpu.max",
        "cpu.weight",
    ];
    let cgroups = host.cgroups().unwrap();
    let files = cgroups
        .iter()
        .flat_map(|dir| FILES.map(|file| dir.join(file)));
    host.inside(|| {
        files
            .filter_map(|file| Some((file.clone(), fs::read_to_string(file).ok()?)))
            .collect()
    })
    .unwrap()
}

#[test]
fn a_run_under_an_id_in_use_leaves_the_other_container_alone() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", sleeper(Spec::docker()));
    runtime.up(&bundle);
    let message = runtime.run(&bundle).fails(1);
    assert!(message.contains("already exists"), "{message}");
    runtime
        .call(&["run", "--detach", "--bundle", "/run/bundles/c", "c"])
        .fails(1);
    assert_eq!(runtime.state("c")["status"], "running");
}

#[test]
fn the_loopback_device_is_up() {
    let Some(host) = host() else { return };
    let spec = Spec::docker().args(&["ip", "-o", "link", "show", "lo"]);
    let seen = Runtime::under_test(&host)
        .run(&Bundle::new(&host, "c", spec))
        .ok();
    assert!(seen.contains("LOOPBACK,UP"), "{seen}");
}

#[test]
fn deleting_a_stopped_container_spares_another_in_the_same_cgroup() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let path = format!("{}/shared", host.cgroup());
    let first = Spec::docker().args(&["true"]).cgroups_path(&path);
    runtime.up(&Bundle::new(&host, "first", first));
    runtime.wait_stopped("first");
    let second = sleeper(Spec::docker()).cgroups_path(&path);
    runtime.up(&Bundle::new(&host, "second", second));
    runtime.delete("first").ok();
    assert_eq!(runtime.state("second")["status"], "running");
}

#[test]
fn a_terminal_belongs_to_the_containers_user() {
    let Some(host) = host() else { return };
    let spec = Spec::docker()
        .args(&["stat", "-L", "-c", "%u", "/proc/self/fd/0"])
        .user(1000, 1000)
        .set("/process/terminal", json!(true));
    let seen = Runtime::under_test(&host)
        .run(&Bundle::new(&host, "c", spec))
        .ok();
    assert_eq!(seen.trim(), "1000");
}
