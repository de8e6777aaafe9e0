//! In a virtual machine as users have it: booted with systemd, pure cgroup v2, the engines of a
//! current release as its own services, a real /dev/kfd and real render nodes. `make vm-test` runs
//! it there; elsewhere each test says that it was skipped.
//!
//! The nodes open and answer, and so what may not be opened is told apart from what is not there.
//! Three GPUs: containers get the first, and must get no other.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stand on it")]

#[path = "vm/checkpoint.rs"]
mod checkpoint;
#[path = "vm/commands.rs"]
mod commands;
#[path = "vm/compose_and_swarm.rs"]
mod compose_and_swarm;
#[path = "vm/cri.rs"]
mod cri;
#[path = "vm/cri_api.rs"]
mod cri_api;
#[path = "vm/enforcement.rs"]
mod enforcement;
#[path = "vm/host_setup.rs"]
mod host_setup;
#[path = "vm/machine.rs"]
mod machine;
#[path = "vm/rootless.rs"]
mod rootless;
#[path = "vm/selinux.rs"]
mod selinux;

use std::fmt::Write as _;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use serial_test::serial;

use compose_and_swarm::compose_gives_the_gpu;
use machine::{
    BOTH, CDI, Daemon, ENV, GRANTED, IMAGE, PROBE, RUNTIME, Running, all_ok, in_vm, ok,
    restart_docker, run,
};

#[test]
#[serial]
fn the_probe_sees_what_is_open() {
    if !in_vm() {
        return;
    }
    let words = [
        "docker",
        "run",
        "--rm",
        "--privileged",
        IMAGE,
        "sh",
        "-c",
        PROBE,
    ];
    let all = GRANTED.replace("closed", "open");
    assert_eq!(ok(&words), all);
}

#[track_caller]
fn all_see_their_gpu_alone(commands: &[Vec<&str>]) {
    for (words, seen) in commands.iter().zip(all_ok(commands)) {
        assert_eq!(seen, GRANTED, "{words:?}");
    }
}

/// `docker run` in each way, as root and as another user.
fn docker_gives_the_gpu() {
    let mut commands = Vec::new();
    for way in [&ENV[..], &CDI, &BOTH] {
        for user in ["--user=0", "--user=1000"] {
            let run = ["docker", "run", "--rm", user];
            commands.push([&run, way, &[IMAGE, "sh", "-c", PROBE]].concat());
        }
    }
    all_see_their_gpu_alone(&commands);
}

/// Where ours is docker's default runtime, containers that name none get what they ask for.
fn the_default_runtime_gives_the_gpu_to_whom_asks() {
    let run = |options: &[&'static str]| {
        let probe = [IMAGE, "sh", "-c", PROBE];
        [&["docker", "run", "--rm"], options, &probe].concat()
    };
    let seen = all_ok(&[run(&["-eAMD_VISIBLE_DEVICES=0"]), run(&[])]);
    assert_eq!(seen, [GRANTED, &GRANTED.replace("open", "closed")]);
}

#[test]
#[serial]
fn docker_gives_the_gpu_that_was_asked_for_and_no_other_by_variable_and_by_cdi() {
    if in_vm() {
        docker_gives_the_gpu();
    }
}

#[test]
#[serial]
fn under_the_cgroupfs_driver_each_way_gives_the_gpu_that_was_asked_for_and_no_other() {
    if !in_vm() {
        return;
    }
    let _daemon = Daemon::with(&json!({
        "exec-opts": ["native.cgroupdriver=cgroupfs"],
        "default-runtime": "amd",
    }));
    docker_gives_the_gpu();
    the_default_runtime_gives_the_gpu_to_whom_asks();
    compose_gives_the_gpu();
}

/// Under the cgroup driver that docker has with these settings, changes what systemd and docker can
/// change of a container that runs.
fn shake(driver: &str, settings: &Value) {
    let _daemon = Daemon::with(settings);
    assert!(ok(&["docker", "info"]).contains(&format!("Cgroup Driver: {driver}")));
    let container = Running::start("shaken", &ENV);
    container.has_its_gpu_alone("at first");
    ok(&["systemctl", "daemon-reload"]);
    container.has_its_gpu_alone("after daemon-reload");
    if driver == "systemd" {
        let unit = container.unit();
        ok(&[
            "systemctl",
            "set-property",
            "--runtime",
            &unit,
            "CPUWeight=50",
        ]);
        container.has_its_gpu_alone("after set-property");
    }
    let limits = [
        "--memory=256m",
        "--memory-swap=256m",
        "--cpus=0.5",
        "--pids-limit=90",
    ];
    ok(&[&["docker", "update"], &limits[..], &[container.0]].concat());
    container.has_its_gpu_alone("after update");
    ok(&["systemctl", "daemon-reload"]);
    container.has_its_gpu_alone("after update and daemon-reload");
    let memory = [
        "docker",
        "exec",
        container.0,
        "cat",
        "/sys/fs/cgroup/memory.max",
    ];
    assert_eq!(ok(&memory), format!("{}\n", 256 << 20));
    ok(&["docker", "pause", container.0]);
    ok(&["docker", "unpause", container.0]);
    container.has_its_gpu_alone("after pause");
    restart_docker();
    container.has_its_gpu_alone("after a restart of docker");
}

#[test]
#[serial]
fn under_the_systemd_driver_nothing_that_happens_changes_what_can_be_opened() {
    if in_vm() {
        shake("systemd", &json!({"live-restore": true}));
    }
}

#[test]
#[serial]
fn under_the_cgroupfs_driver_nothing_that_happens_changes_what_can_be_opened() {
    if in_vm() {
        let driver = ["native.cgroupdriver=cgroupfs"];
        shake(
            "cgroupfs",
            &json!({"live-restore": true, "exec-opts": driver}),
        );
    }
}

#[test]
#[serial]
fn the_unit_is_what_runc_makes_of_it_and_goes_with_the_container() {
    if !in_vm() {
        return;
    }
    let properties = |unit: &str| {
        let mut all = String::new();
        for name in [
            "Slice",
            "Delegate",
            "DefaultDependencies",
            "DevicePolicy",
            "Description",
        ] {
            let shown = ok(&["systemctl", "show", unit, "-p", name]);
            let id = unit
                .trim_start_matches("docker-")
                .trim_end_matches(".scope");
            let _ = write!(all, "{}", shown.replace(id, "ID"));
        }
        all
    };
    let theirs = Running::start("of-runc", &["--runtime=runc"]);
    let ours = Running::start("of-ours", &ENV);
    let unit = ours.unit();
    assert_eq!(properties(&unit), properties(&theirs.unit()));
    let allowed = ok(&["systemctl", "show", &unit, "-p", "DeviceAllow"]);
    assert!(allowed.contains("/dev/char/226:128 rwm"), "{allowed}");
    assert!(!allowed.contains("/dev/char/226:129"), "{allowed}");

    drop(ours);
    let begin = Instant::now();
    let there = || ok(&["systemctl", "list-units", "--all", "--no-legend", &unit]);
    while !there().is_empty() && begin.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(200));
    }
    assert_eq!(there(), "");
    assert!(!fs::exists(format!("/sys/fs/cgroup/system.slice/{unit}")).unwrap());
}

#[test]
#[serial]
fn as_dockers_default_runtime_it_runs_every_container() {
    if !in_vm() {
        return;
    }
    let _daemon = Daemon::with(&json!({"default-runtime": "amd"}));
    the_default_runtime_gives_the_gpu_to_whom_asks();
}

#[test]
#[serial]
fn a_gpu_that_is_not_there_is_an_error_that_names_those_that_are() {
    if !in_vm() {
        return;
    }
    let words = ["--runtime=amd", "-eAMD_VISIBLE_DEVICES=9", IMAGE, "true"];
    let output = run(&[&["docker", "run", "--rm"], &words[..]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("hint: GPUs here: 0-2"), "{error}");
    assert_eq!(output.status.code(), Some(125));
}

#[test]
#[serial]
fn containerd_runs_it_with_both_cgroup_drivers() {
    if !in_vm() {
        return;
    }
    let systemd = ["--runc-systemd-cgroup", "--cgroup=system.slice:ctr:vm"];
    for driver in [&[][..], &systemd] {
        let words = ["ctr", "run", "--rm", "--runtime=io.containerd.runc.v2"];
        let ours = ["--runc-binary", RUNTIME, "--env", "AMD_VISIBLE_DEVICES=0"];
        let probe = [IMAGE, "vm", "sh", "-c", PROBE];
        let seen = ok(&[&words[..], &ours, driver, &probe].concat());
        assert_eq!(seen, GRANTED, "{driver:?}");
    }
}

#[test]
#[serial]
fn podman_runs_it_and_reads_the_cdi_spec() {
    if !in_vm() {
        return;
    }
    let ours = ["--runtime", RUNTIME];
    let mut commands = Vec::new();
    for (runtime, way) in [
        (&ours[..], "--env=AMD_VISIBLE_DEVICES=0"),
        (&ours, "--device=amd.com/gpu=0"),
        (&[], "--device=amd.com/gpu=0"),
    ] {
        for manager in ["--cgroup-manager=systemd", "--cgroup-manager=cgroupfs"] {
            let run = ["run", "--rm", "--network=none", "--cap-add=MKNOD", way];
            let probe = [IMAGE, "sh", "-c", PROBE];
            commands.push([&["podman", manager], runtime, &run, &probe].concat());
        }
    }
    all_see_their_gpu_alone(&commands);
}
