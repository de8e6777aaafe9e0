//! The runtime's own commands with --systemd-cgroup: what they leave of units.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use serial_test::serial;

use super::machine::{RUNTIME, in_vm, ok, run};

const BUNDLE: &str = "/root/bundle";
const UNIT: &str = "tests-it.scope";
const STATE: &str = "/run/amd-container-runtime/it";

/// A bundle whose container sleeps, changed by `change`.
fn bundle(change: impl FnOnce(&mut Value)) {
    run(&["rm", "-rf", BUNDLE]);
    for dir in ["bin", "proc", "sys", "dev"] {
        fs::create_dir_all(format!("{BUNDLE}/rootfs/{dir}")).unwrap();
    }
    fs::copy("/bin/busybox", format!("{BUNDLE}/rootfs/bin/busybox")).unwrap();
    symlink("busybox", format!("{BUNDLE}/rootfs/bin/sleep")).unwrap();
    ok(&[RUNTIME, "spec", "--bundle", BUNDLE]);
    let config = format!("{BUNDLE}/config.json");
    let mut spec: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
    spec["process"]["terminal"] = json!(false);
    spec["process"]["args"] = json!(["sleep", "1000000"]);
    spec["linux"]["cgroupsPath"] = json!("system.slice:tests:it");
    change(&mut spec);
    fs::write(config, spec.to_string()).unwrap();
}

fn command(words: &[&str]) -> Command {
    command_of(RUNTIME, words)
}

fn command_of(runtime: &str, words: &[&str]) -> Command {
    let mut command = Command::new(runtime);
    command.arg("--systemd-cgroup").args(words);
    // Whoever reads to the end of a pipe would wait for the container.
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

#[track_caller]
fn create() {
    let status = command(&["create", "--bundle", BUNDLE, "it"]).status();
    assert!(status.unwrap().success());
}

/// A create that is killed when its unit is there and a hook runs.
fn create_that_is_killed() {
    let mark = Path::new("/root/hooked");
    let _ = fs::remove_file(mark);
    let args = json!(["sh", "-c", format!("touch {mark:?}; sleep 100")]);
    bundle(|spec| spec["hooks"] = json!({"createRuntime": [{"path": "/bin/sh", "args": args}]}));
    let mut create = command(&["create", "--bundle", BUNDLE, "it"])
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while !mark.exists() && begin.elapsed() < Duration::from_secs(60) {
        sleep(Duration::from_millis(50));
    }
    assert!(mark.exists(), "the hook did not run");
    create.kill().unwrap();
    create.wait().unwrap();
}

/// systemd removes what has become empty on its own time.
#[track_caller]
fn nothing_is_left(when: &str) {
    let units = || ok(&["systemctl", "list-units", "--all", "--no-legend", UNIT]);
    let begin = Instant::now();
    while !units().is_empty() && begin.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(200));
    }
    assert_eq!(units(), "", "{when}");
    assert!(!Path::new(STATE).exists(), "{when}");
    let cgroup = format!("/sys/fs/cgroup/system.slice/{UNIT}");
    assert!(!Path::new(&cgroup).exists(), "{when}");
}

#[test]
#[serial]
fn a_create_that_was_killed_is_cleared_by_delete_with_force_whatever_can_be_read_of_it() {
    if !in_vm() {
        return;
    }
    for torn in [
        &[][..],
        &["container.json"],
        &["container.json", "config.json"],
    ] {
        create_that_is_killed();
        for file in torn {
            fs::write(format!("{STATE}/{file}"), "").unwrap();
        }
        ok(&[RUNTIME, "delete", "--force", "it"]);
        nothing_is_left(&format!("torn: {torn:?}"));
    }
}

#[test]
#[serial]
fn a_create_that_was_killed_is_made_good_by_the_next() {
    if !in_vm() {
        return;
    }
    create_that_is_killed();
    bundle(|_| {});
    create();
    ok(&[RUNTIME, "delete", "--force", "it"]);
    nothing_is_left("after the second");
}

#[test]
#[serial]
fn creates_and_deletes_never_wait_for_systemd_in_vain() {
    if !in_vm() {
        return;
    }
    bundle(|_| {});
    for round in 0..8 {
        create();
        let begin = Instant::now();
        ok(&[RUNTIME, "delete", "--force", "it"]);
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(20), "round {round}: {took:?}");
    }
    nothing_is_left("after all rounds");
}

#[test]
#[serial]
fn annotations_set_the_properties_of_the_unit_that_they_set_with_runc() {
    if !in_vm() {
        return;
    }
    bundle(|spec| {
        spec["annotations"] = json!({
            "org.systemd.property.TimeoutStopSec": "uint32 7",
            "org.systemd.property.CollectMode": "'inactive-or-failed'",
            "org.systemd.property.Before": "['shutdown.target', 'reboot.target']",
            "org.systemd.property.MemoryHigh": "uint64 0x4000000",
        });
    });
    let shown = |runtime: &str| {
        let words = ["create", "--bundle", BUNDLE, "it"];
        assert!(command_of(runtime, &words).status().unwrap().success());
        let names = ["TimeoutStopUSec", "CollectMode", "Before", "MemoryHigh"];
        let options = names.map(|name| ["-p", name]).concat();
        let shown = ok(&[&["systemctl", "show", UNIT], &options[..]].concat());
        ok(&[runtime, "delete", "--force", "it"]);
        nothing_is_left(runtime);
        shown
    };
    let ours = shown(RUNTIME);
    for line in [
        "TimeoutStopUSec=7s",
        "CollectMode=inactive-or-failed",
        "MemoryHigh=67108864",
    ] {
        assert!(ours.lines().any(|shown| shown == line), "{line}: {ours}");
    }
    assert!(ours.contains("reboot.target"), "{ours}");
    assert_eq!(ours, shown("runc"));
}

#[test]
#[serial]
fn a_unit_that_cannot_be_as_asked_for_is_refused_and_leaves_nothing() {
    if !in_vm() {
        return;
    }
    let annotation =
        |name: &str, value: &str| json!({format!("org.systemd.property.{name}"): value});
    for (path, annotations, said) in [
        (
            "system.slice:tests:it",
            annotation("TimeoutStopSec", "soon"),
            "\"soon\" is no value",
        ),
        (
            "system.slice:tests:it",
            annotation("PIDs", "[uint32 1]"),
            "the property is set by the runtime",
        ),
        // systemd's own word.
        (
            "system.slice:tests:it",
            annotation("NoSuchProperty", "true"),
            "NoSuchProperty",
        ),
        ("system.slice:tests:it.slice", json!({}), "names a slice"),
    ] {
        bundle(|spec| {
            spec["annotations"] = annotations;
            spec["linux"]["cgroupsPath"] = json!(path);
        });
        let words = [
            RUNTIME,
            "--systemd-cgroup",
            "create",
            "--bundle",
            BUNDLE,
            "it",
        ];
        let output = run(&words);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{said}");
        assert!(error.contains(said), "{said}: {error}");
        nothing_is_left(said);
    }
}
