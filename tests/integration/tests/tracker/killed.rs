//! Commands that are killed at one system call after another: what they held is free, what they
//! wrote is whole, and the next command works.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use integration::host::SimulatedHost;
use integration::kill_points::{killed_at, modifying_calls, was_killed_at};
use integration::require;
use integration::runtime::Runtime;

use crate::fixture::{assert_in_use, bundle, ctk, holders, host, host_with_exclusive, status};

/// How many points of a long command are tried; `TRACKER_ROUNDS` or more tries all.
fn step(points: usize) -> usize {
    match std::env::var_os("TRACKER_ROUNDS") {
        Some(_) => 1,
        None => (points / 12).max(1),
    }
}

fn nobody_holds_it_and_another_can(host: &SimulatedHost, runtime: &Runtime<'_>, what: &str) {
    assert_eq!(holders(host, 0), Vec::<String>::new(), "{what}");
    let other = bundle(host, "other", "0");
    let create = runtime.create(&other);
    assert_eq!(create.code, 0, "{what}: {create}");
    assert_eq!(holders(host, 0), ["other"], "{what}");
    runtime.call(&["delete", "--force", "other"]).ok();
}

#[test]
fn a_create_that_is_killed_holds_nothing() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    if !require::programs(&["strace"]) {
        return;
    }
    let runtime = Runtime::under_test(&host);
    let killed = bundle(&host, "killed", "0");
    let dir = killed.path().to_string_lossy();
    let create = runtime.command(&["create", "--bundle", &dir, "killed"]);
    let points = modifying_calls(&host, &create);
    runtime.call(&["delete", "--force", "killed"]).ok();
    let mut killed_there = 0;
    for point in points.iter().step_by(step(points.len())) {
        if !was_killed_at(&host, &create, point) {
            assert_eq!(holders(&host, 0), ["killed"], "{point:?}");
            runtime.call(&["delete", "--force", "killed"]).ok();
            continue;
        }
        killed_there += 1;
        nobody_holds_it_and_another_can(&host, &runtime, &format!("{point:?}"));
        // The same container again takes over what is left.
        let again = runtime.create(&killed);
        let finished = again.stderr.contains("already exists");
        assert!(again.code == 0 || finished, "{point:?}: {again}");
        runtime.call(&["delete", "--force", "killed"]).ok();
    }
    println!(
        "{} calls of create change files, killed at {killed_there}",
        points.len()
    );
    assert!(killed_there > 3, "killed {killed_there} times only");
}

#[test]
fn one_that_was_killed_after_all_was_built_starts_only_while_its_gpus_are_free() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    if !require::programs(&["strace"]) {
        return;
    }
    let runtime = Runtime::under_test(&host);
    let killed = bundle(&host, "killed", "0");
    let dir = killed.path().to_string_lossy();
    let create = runtime.command(&["create", "--bundle", &dir, "killed"]);
    let delete = || runtime.call(&["delete", "--force", "killed"]).ok();
    // The first of a state root has more to do.
    runtime.up(&killed);
    delete();
    let points = modifying_calls(&host, &create);
    delete();
    // The last file that it makes is the link that hands the reservation over: the record says
    // created by then.
    let last = points.iter().rfind(|point| point.name() == "symlink");
    killed_at(&host, &create, last.unwrap());
    assert_eq!(runtime.state("killed")["status"], "created");
    assert_eq!(holders(&host, 0), Vec::<String>::new());
    runtime.up(&bundle(&host, "other", "0"));
    for _ in 0..2 {
        assert_in_use(runtime.start("killed"), "0", "other");
    }
    runtime.call(&["delete", "--force", "other"]).ok();
    runtime.start("killed").ok();
    assert_eq!(holders(&host, 0), ["killed"]);
}

#[test]
fn a_delete_that_is_killed_leaves_no_gpu_taken() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    if !require::programs(&["strace"]) {
        return;
    }
    let runtime = Runtime::under_test(&host);
    let killed = bundle(&host, "killed", "0");
    runtime.up(&killed);
    let delete = runtime.command(&["delete", "--force", "killed"]);
    let points = modifying_calls(&host, &delete);
    let mut killed_there = 0;
    for point in points.iter().step_by(step(points.len())) {
        runtime.up(&killed);
        killed_there += usize::from(was_killed_at(&host, &delete, point));
        // Until the container has ended it holds its GPU, and then nobody does.
        if holders(&host, 0) != ["killed"] {
            nobody_holds_it_and_another_can(&host, &runtime, &format!("{point:?}"));
        }
        runtime.call(&["delete", "--force", "killed"]).ok();
        assert_eq!(holders(&host, 0), Vec::<String>::new());
    }
    println!(
        "{} calls of delete change files, killed at {killed_there}",
        points.len()
    );
    assert!(killed_there > 3, "killed {killed_there} times only");
}

#[test]
fn a_killed_command_of_the_administrator_leaves_old_or_new_settings() {
    let Some(host) = host() else { return };
    if !require::programs(&["strace"]) {
        return;
    }
    for words in [
        &["enable"][..],
        &["0", "exclusive"],
        &["0", "shared"],
        &["disable"],
        &["reset"],
    ] {
        let mut command =
            std::process::Command::new(integration::binary::ours("amd-ctk", "amd-ctk").unwrap());
        command.arg("gpu-tracker").args(words);
        let undo = || {
            ctk(&host, &["enable"]).ok();
            let before = if words == ["0", "exclusive"] {
                "shared"
            } else {
                "exclusive"
            };
            ctk(&host, &["0", before]).ok();
            if words == ["enable"] {
                ctk(&host, &["disable"]).ok();
            }
        };
        undo();
        let old = status(&host);
        let points = modifying_calls(&host, &command);
        let new = status(&host);
        for point in &points {
            undo();
            killed_at(&host, &command, point);
            let now = status(&host);
            assert!(now == old || now == new, "{words:?} {point:?}: {now}");
        }
    }
}
