//! What goes wrong with the tracker of AMD's Go toolkit, and not with this one.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::fs::File;

use integration::host::Cgroups;
use integration::require;
use integration::runtime::Runtime;
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MsFlags, mount};

use crate::fixture::{
    RUN, SETTINGS, assert_in_use, bundle, ctk, exists, holders, host, host_with_exclusive, write,
};

/// There: `containerIds` of containers that crashed stay in the file for good.
#[test]
fn a_container_that_crashes_leaves_no_entry() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "a", "0"));
    runtime.kill("a", "KILL").ok();
    runtime.wait_stopped("a");
    // Nobody has deleted it, and no hook has run.
    assert_eq!(holders(&host, 0), Vec::<String>::new());
    runtime.up(&bundle(&host, "b", "0"));
}

/// There: after a reboot the file names containers that are gone.
#[test]
fn a_reboot_leaves_the_settings_and_no_container() {
    let Some(before) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&before);
    runtime.up(&bundle(&before, "a", "0"));
    let settings = before
        .inside(|| fs::read_to_string(SETTINGS))
        .unwrap()
        .unwrap();
    drop(before);
    let Some(after) = host() else { return };
    write(&after, SETTINGS, &settings);
    assert_eq!(holders(&after, 0), Vec::<String>::new());
    let runtime = Runtime::under_test(&after);
    runtime.up(&bundle(&after, "b", "0"));
    assert_in_use(runtime.create(&bundle(&after, "c", "0")), "0", "b");
}

/// There: the error path of a second create with an id in use releases the first one's GPUs.
#[test]
fn a_second_create_with_an_id_in_use_releases_nothing() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let first = bundle(&host, "a", "0");
    runtime.up(&first);
    let stderr = runtime.create(&first).fails(1);
    assert!(stderr.contains("already exists"), "{stderr}");
    assert_in_use(runtime.create(&bundle(&host, "b", "0")), "0", "a");
}

/// There: the error path of `exec` releases another container's GPU.
#[test]
fn an_exec_that_fails_releases_nothing() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "a", "0"));
    for words in [&["/no/such/program"][..], &["true", "--bundle", "/x"]] {
        let _ = runtime.exec("a", words);
    }
    assert_ne!(runtime.exec("nobody", &["true"]).code, 0);
    assert_eq!(holders(&host, 0), ["a"]);
}

/// There: the lock is taken even when the tracker is off, is asked for every 100 ms, and a create
/// fails when somebody has it for 13 s.
#[test]
fn a_held_lock_stops_no_create_while_the_tracker_is_off() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    write(&host, &format!("{RUN}/lock"), "");
    let held = host
        .inside(|| {
            let file = File::open(format!("{RUN}/lock")).unwrap();
            Flock::lock(file, FlockArg::LockExclusive).unwrap()
        })
        .unwrap();
    runtime.up(&bundle(&host, "a", "0"));
    assert_eq!(holders(&host, 0), ["a"]);
    drop(held);
}

/// There: a file that is torn once cannot even be reset.
#[test]
fn a_corrupt_file_can_be_reset() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    write(&host, SETTINGS, "{\"enabled\":true,\"gpusSt");
    assert_eq!(ctk(&host, &["reset"]).ok(), "GPU Tracker has been reset\n");
    ctk(&host, &["status"]).ok();
}

/// There: GPUs are released by a hook with a hard-coded path.
#[test]
fn no_hook_is_put_into_a_container() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "a", "0"));
    let config = runtime.root().join("a/spec.json");
    let config = host.inside(|| fs::read_to_string(config)).unwrap().unwrap();
    assert!(!config.contains("\"hooks\""), "{config}");
    runtime.call(&["delete", "--force", "a"]).ok();
    assert_eq!(holders(&host, 0), Vec::<String>::new());
}

/// There: after a change of the partition mode every create fails until `reset`.
#[test]
fn a_partition_change_stops_no_create() {
    let Some(whole) = host_with_exclusive("0") else {
        return;
    };
    let settings = whole
        .inside(|| fs::read_to_string(SETTINGS))
        .unwrap()
        .unwrap();
    drop(whole);
    let Some(parts) = require::host("mi300x-8-cpx", Cgroups::V1) else {
        return;
    };
    write(&parts, SETTINGS, &settings);
    Runtime::under_test(&parts).up(&bundle(&parts, "a", "0"));
    ctk(&parts, &["status"]).ok();
}

/// There: the state is in /var/log, and a read-only /var/log fails every create.
#[test]
fn nothing_is_kept_in_var_log() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    host.inside(|| {
        let read_only = MsFlags::MS_RDONLY;
        mount(
            Some("log"),
            "/var/log",
            Some("tmpfs"),
            read_only,
            None::<&str>,
        )
        .unwrap();
    })
    .unwrap();
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "a", "0"));
    assert_in_use(runtime.create(&bundle(&host, "b", "0")), "0", "a");
    assert!(!exists(&host, "/var/log/gpu-tracker.json"));
}

/// There: `0,0` makes a container hold a GPU twice, and its end frees it once.
#[test]
fn a_gpu_that_is_asked_for_twice_is_held_once() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "a", "0,0"));
    assert_eq!(holders(&host, 0), ["a"]);
    runtime.call(&["delete", "--force", "a"]).ok();
    assert_eq!(holders(&host, 0), Vec::<String>::new());
}
