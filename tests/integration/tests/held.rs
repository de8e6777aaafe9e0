//! Commands that hang, and those that have to get past them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::Path;
use std::process::{Child, Stdio};

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::require;
use integration::runtime::{Runtime, eventually};
use integration::spec::Spec;

const ID: &str = "c";

/// Hooks of this end when the command that runs them does.
const HANG: &str = "touch /run/hangs; while kill -0 $PPID; do sleep 0.05; done";

fn host(cgroups: Cgroups) -> Option<SimulatedHost> {
    require::host_with(mi300x::PRESET, cgroups)
}

fn sleeper() -> Spec {
    Spec::docker().args(&["sleep", "1000"])
}

/// Starts a command of the runtime that is about to hang.
#[track_caller]
fn begin(host: &SimulatedHost, runtime: &Runtime<'_>, words: &[&str]) -> Child {
    let mut command = runtime.command(words);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    host.spawn(&mut command).unwrap()
}

#[track_caller]
fn begin_run(host: &SimulatedHost, runtime: &Runtime<'_>, spec: Spec) -> Child {
    let bundle = Bundle::new(host, ID, spec);
    let dir = bundle.path().to_string_lossy();
    begin(host, runtime, &["run", "--detach", "--bundle", &dir, ID])
}

#[track_caller]
fn wait_for(host: &SimulatedHost, file: &str) {
    eventually("the hook hangs", || {
        host.inside(|| Path::new(file).exists()).unwrap()
    });
}

#[test]
fn delete_by_force_ends_a_create_that_hangs() {
    for cgroups in [Cgroups::V1, Cgroups::V2] {
        let Some(host) = host(cgroups) else { continue };
        let runtime = Runtime::under_test(&host);
        let spec = sleeper().hook("createRuntime", "/bin/sh", &["sh", "-c", HANG]);
        let mut hanging = begin_run(&host, &runtime, spec);
        wait_for(&host, "/run/hangs");
        runtime.call(&["delete", "--force", ID]).ok();
        hanging.wait().unwrap();
        eventually("the hook ends", || host.processes().unwrap().is_empty());
        assert_eq!(runtime.call(&["list", "--quiet"]).ok(), "");
        assert_eq!(host.cgroups().unwrap().len(), 0);
    }
}

#[test]
fn a_poststart_hook_that_hangs_holds_nobody_up() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let spec = sleeper().hook("poststart", "/bin/sh", &["sh", "-c", HANG]);
    let mut hanging = begin_run(&host, &runtime, spec);
    wait_for(&host, "/run/hangs");
    runtime.exec(ID, &["true"]).ok();
    runtime.call(&["pause", ID]).ok();
    runtime.call(&["delete", "--force", ID]).ok();
    assert_eq!(host.cgroups().unwrap().len(), 0);
    hanging.kill().unwrap();
    hanging.wait().unwrap();
}

#[test]
fn a_poststart_hook_can_use_the_container() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let exec = format!(
        "{} --root {} exec {ID} touch /dev/shm/by-hook",
        runtime.program().display(),
        runtime.root().display()
    );
    let spec = sleeper().hook("poststart", "/bin/sh", &["sh", "-c", &exec]);
    runtime.up(&Bundle::new(&host, ID, spec));
    runtime.exec(ID, &["test", "-e", "/dev/shm/by-hook"]).ok();
}

#[test]
fn delete_by_force_ends_an_exec_that_waits_for_a_paused_container() {
    for cgroups in [Cgroups::V1, Cgroups::V2] {
        let Some(host) = host(cgroups) else { continue };
        let runtime = Runtime::under_test(&host);
        runtime.up(&Bundle::new(&host, ID, sleeper()));
        runtime.call(&["pause", ID]).ok();
        let mut waiting = begin(&host, &runtime, &["exec", "--ignore-paused", ID, "true"]);
        let pids = || runtime.call(&["ps", "--format", "json", ID]).ok();
        eventually("it is in the container's cgroup", || pids().contains(','));
        runtime.call(&["delete", "--force", ID]).ok();
        assert!(!waiting.wait().unwrap().success());
        assert_eq!(runtime.call(&["list", "--quiet"]).ok(), "");
        assert_eq!(host.cgroups().unwrap().len(), 0);
    }
}

#[test]
fn delete_by_force_waits_for_a_delete_whose_hooks_run() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let slow = "echo begin >>/run/hooks; sleep 3; echo end >>/run/hooks";
    let spec = sleeper().hook("poststop", "/bin/sh", &["sh", "-c", slow]);
    runtime.up(&Bundle::new(&host, ID, spec));
    let mut first = begin(&host, &runtime, &["delete", "--force", ID]);
    wait_for(&host, "/run/hooks");
    runtime.call(&["delete", "--force", ID]).ok();
    assert!(first.wait().unwrap().success());
    let hooks = host
        .inside(|| std::fs::read_to_string("/run/hooks"))
        .unwrap();
    assert_eq!(hooks.unwrap(), "begin\nend\n");
}
