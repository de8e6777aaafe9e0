//! Containers that are checkpointed and restored, by CRIU.
//!
//! CRIU depends on the kernel more than other programs: where `criu check` fails, what needs it is
//! skipped, in CI, too.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::outcome::Outcome;
use integration::probe::{self, SHELL, Seen};
use integration::require;
use integration::runtime::{Runtime, eventually};
use integration::spec::Spec;
use serde_json::json;

const PRESET: &str = "mi300x-8";
const IMAGES: &str = "/run/images";

fn host() -> Option<SimulatedHost> {
    let host = require::host(PRESET, Cgroups::V1)?;
    let check = Command::new("criu").arg("check").output();
    if check.is_ok_and(|check| check.status.success()) {
        return Some(host);
    }
    eprintln!("skipped: needs the program criu, and that `criu check` finds nothing amiss");
    None
}

/// Counts in a file, for ever.
fn counter(host: &SimulatedHost) -> Bundle<'_> {
    Bundle::new(host, "c", spec())
}

fn spec() -> Spec {
    let count = "n=0; while true; do n=$((n + 1)); echo $n >/count; sleep 0.02; done";
    // Nothing of the test's own is open in it.
    Spec::docker().sh(&format!("exec </dev/null >/dev/null 2>&1; {count}"))
}

fn count(bundle: &Bundle<'_>) -> u64 {
    let text = bundle.read("/count").unwrap_or_default();
    text.trim().parse().unwrap_or_default()
}

#[track_caller]
fn counts_beyond(bundle: &Bundle<'_>, least: u64) {
    eventually("the container counts on", || count(bundle) > least);
}

fn checkpoint(runtime: &Runtime<'_>, options: &[&str]) -> Outcome {
    runtime.call(&[&["checkpoint", "--image-path", IMAGES], options, &["c"]].concat())
}

fn restore(runtime: &Runtime<'_>, bundle: &Bundle<'_>, options: &[&str]) -> Outcome {
    let dir = bundle.path().to_str().unwrap();
    let words = ["restore", "--image-path", IMAGES, "--bundle", dir];
    runtime.call(&[&words[..], options, &["c"]].concat())
}

#[test]
fn a_container_goes_on_where_it_was() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = counter(&host);
    runtime.up(&bundle);
    counts_beyond(&bundle, 10);
    checkpoint(&runtime, &[]).ok();
    let then = count(&bundle);
    assert!(runtime.call(&["state", "c"]).fails(1).contains("not exist"));
    assert_eq!(host.processes_that_stay().unwrap(), [] as [String; 0]);

    restore(&runtime, &bundle, &["--detach", "--pid-file", "/run/pid"]).ok();
    let state = runtime.state("c");
    assert_eq!(state["status"], "running");
    let pid = host.inside(|| fs::read_to_string("/run/pid")).unwrap();
    assert_eq!(pid.unwrap(), state["pid"].to_string());
    counts_beyond(&bundle, then);
    // From the start it would have taken as long as before.
    assert!(count(&bundle) > then);
    assert_eq!(runtime.exec("c", &["echo", "in it"]).ok(), "in it\n");
    runtime.call(&["delete", "--force", "c"]).ok();
    assert_eq!(host.cgroups().unwrap(), [] as [std::path::PathBuf; 0]);
}

#[test]
fn a_container_that_is_left_running_counts_on() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = counter(&host);
    runtime.up(&bundle);
    counts_beyond(&bundle, 1);
    checkpoint(&runtime, &["--leave-running"]).ok();
    counts_beyond(&bundle, count(&bundle));
}

#[test]
fn a_restored_container_has_its_gpus_and_no_others() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", spec().env("AMD_VISIBLE_DEVICES=1,2"));
    let look = |script: &str| {
        let script = format!("{SHELL}\n{script}");
        probe::parse(&runtime.exec("c", &["sh", "-c", &script]).ok())
    };
    let of_another = || look(&mi300x::forge(3));
    runtime.up(&bundle);
    let before = look("gpus");
    assert!(
        before.len() == 5 && before.iter().all(Seen::allowed),
        "{before:#?}"
    );
    counts_beyond(&bundle, 1);
    checkpoint(&runtime, &[]).ok();
    restore(&runtime, &bundle, &["--detach"]).ok();
    assert_eq!(look("gpus"), before);
    let forged = of_another();
    assert!(
        forged.len() == 2 && forged.iter().all(Seen::denied),
        "{forged:#?}"
    );
}

#[test]
fn its_limits_are_those_of_the_bundle() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let limits = json!({"memory": {"limit": 64 << 20}, "pids": {"limit": 33}});
    let bundle = Bundle::new(&host, "c", spec().set("/linux/resources", limits));
    runtime.up(&bundle);
    counts_beyond(&bundle, 1);
    checkpoint(&runtime, &["--manage-cgroups-mode", "ignore"]).ok();
    restore(
        &runtime,
        &bundle,
        &["--detach", "--manage-cgroups-mode", "ignore"],
    )
    .ok();
    let events = runtime.call(&["events", "--stats", "c"]).ok();
    let events: serde_json::Value = serde_json::from_str(&events).unwrap();
    assert_eq!(events["data"]["pids"]["limit"], 33);
    assert_eq!(events["data"]["memory"]["usage"]["limit"], 64 << 20);
}

#[test]
fn in_the_foreground_it_ends_as_its_program_does() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let script = "exec </dev/null >/dev/null 2>&1; until [ -e /go ]; do sleep 0.02; done; exit 7";
    let bundle = Bundle::new(&host, "c", Spec::docker().sh(script));
    runtime.up(&bundle);
    checkpoint(&runtime, &[]).ok();
    host.inside(|| fs::write(bundle.in_rootfs("/go"), ""))
        .unwrap()
        .unwrap();
    restore(&runtime, &bundle, &[]).fails(7);
    assert!(runtime.call(&["state", "c"]).fails(1).contains("not exist"));
}

#[test]
fn its_hooks_run_before_it_goes_on() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let say = ["sh", "-c", "cat >>/run/said"];
    let bundle = Bundle::new(&host, "c", spec().hook("createRuntime", "/bin/sh", &say));
    runtime.up(&bundle);
    counts_beyond(&bundle, 1);
    checkpoint(&runtime, &[]).ok();
    restore(&runtime, &bundle, &["--detach"]).ok();
    let said = host.inside(|| fs::read_to_string("/run/said")).unwrap();
    let pids = said.unwrap().matches("\"pid\":").count();
    assert_eq!(pids, 2);

    let bundle = Bundle::new(
        &host,
        "d",
        spec().hook("createRuntime", "/bin/false", &["false"]),
    );
    runtime.call(&["delete", "--force", "c"]).ok();
    let refused = restore(&runtime, &bundle, &["--detach"]).fails(1);
    assert!(refused.contains("createRuntime hook #0"), "{refused}");
    assert_eq!(host.processes_that_stay().unwrap(), [] as [String; 0]);
}

#[test]
fn what_cannot_be_restored_leaves_nothing() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = counter(&host);
    let refused = restore(&runtime, &bundle, &["--detach"]).fails(1);
    assert!(refused.contains("descriptors.json"), "{refused}");
    host.inside(|| {
        fs::create_dir(IMAGES).unwrap();
        fs::write(format!("{IMAGES}/descriptors.json"), "[]").unwrap();
    })
    .unwrap();
    let refused = restore(&runtime, &bundle, &["--detach"]).fails(1);
    assert!(refused.contains("criu failed: type RESTORE"), "{refused}");
    assert!(refused.contains("restore.log"), "{refused}");
    assert_eq!(runtime.call(&["list", "-q"]).ok(), "");
    assert_eq!(host.cgroups().unwrap(), [] as [std::path::PathBuf; 0]);
    assert_eq!(host.processes_that_stay().unwrap(), [] as [String; 0]);

    runtime.up(&bundle);
    let refused = restore(&runtime, &bundle, &["--detach"]).fails(1);
    assert!(refused.contains("already exists"), "{refused}");
    counts_beyond(&bundle, count(&bundle));
}

#[test]
fn without_criu_the_error_says_so_and_the_container_goes_on() {
    let Some(host) = require::host(PRESET, Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host).option(&["--criu", "/no/such/criu"]);
    let bundle = counter(&host);
    runtime.up(&bundle);
    let refused = checkpoint(&runtime, &[]).fails(1);
    assert!(refused.contains("/no/such/criu"), "{refused}");
    assert!(refused.contains("hint: install CRIU"), "{refused}");
    counts_beyond(&bundle, count(&bundle));
    let refused = restore(&runtime, &Bundle::new(&host, "d", spec()), &["--detach"]).fails(1);
    assert!(refused.contains("/no/such/criu"), "{refused}");
}

#[test]
fn a_criu_that_is_too_old_or_fails_is_told_from_one_that_is_not_there() {
    let Some(host) = require::host(PRESET, Cgroups::V1) else {
        return;
    };
    let bundle = counter(&host);
    let program = "/run/criu";
    host.inside(|| {
        let mut file = fs::File::create(program).unwrap();
        file.write_all(b"#!/bin/sh\nexit 3\n").unwrap();
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    })
    .unwrap();
    let runtime = Runtime::under_test(&host).option(&["--criu", program]);
    runtime.up(&bundle);
    let refused = checkpoint(&runtime, &[]).fails(1);
    assert!(refused.contains("lost the connection to CRIU"), "{refused}");
    counts_beyond(&bundle, count(&bundle));
}

#[test]
fn only_a_container_that_runs_can_be_checkpointed() {
    let Some(host) = require::host(PRESET, Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", Spec::docker().args(&["true"]));
    runtime.create(&bundle).ok();
    let refused = checkpoint(&runtime, &[]).fails(1);
    assert!(
        refused.contains("Container cannot be checkpointed in created state"),
        "{refused}"
    );
    runtime.start("c").ok();
    runtime.wait_stopped("c");
    let refused = checkpoint(&runtime, &[]).fails(1);
    assert!(
        refused.contains("Container cannot be checkpointed in stopped state"),
        "{refused}"
    );
    let refused = runtime.call(&["checkpoint", "nobody"]).fails(1);
    assert!(refused.contains("does not exist"), "{refused}");
}

#[test]
fn a_restore_that_is_killed_leaves_nothing_that_a_forced_delete_does_not_clear() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = counter(&host);
    runtime.up(&bundle);
    counts_beyond(&bundle, 1);
    checkpoint(&runtime, &[]).ok();
    let dir = bundle.path().to_str().unwrap();
    let words = [
        "restore",
        "--image-path",
        IMAGES,
        "--bundle",
        dir,
        "--detach",
        "c",
    ];
    for moment in 1..=12 {
        let mut restore = host.spawn(&mut runtime.command(&words)).unwrap();
        std::thread::sleep(Duration::from_millis(15 * moment));
        // Done already is one more moment.
        let _ = restore.kill();
        restore.wait().unwrap();
        runtime.call(&["delete", "--force", "c"]).ok();
        assert_eq!(host.processes_that_stay().unwrap(), [] as [String; 0]);
        assert_eq!(host.cgroups().unwrap(), [] as [std::path::PathBuf; 0]);
        let mounts = host.inside(|| fs::read_to_string("/proc/1/mountinfo"));
        assert!(!mounts.unwrap().unwrap().contains("criu-root"));
    }
    restore(&runtime, &bundle, &["--detach"]).ok();
    counts_beyond(&bundle, count(&bundle));
}
