//! GPUs that are found while the rest of the container is built (cgroup v2): whatever comes of it, the
//! container has all of them, or is not there.

use std::fs;

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use integration::traces::Traces;
use serde_json::json;

const ID: &str = "c";

fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, Cgroups::V2)
}

fn two_gpus() -> Spec {
    Spec::docker().env("AMD_VISIBLE_DEVICES=0,1")
}

/// Checks that a create fails with this message, and leaves nothing.
#[track_caller]
fn assert_fails_cleanly(host: &SimulatedHost, spec: Spec, words: &[&str]) {
    let runtime = Runtime::under_test(host);
    let bundle = Bundle::new(host, ID, spec);
    // What the first container of all makes stays.
    runtime
        .run(&Bundle::new(host, "first", two_gpus().sh("true")))
        .ok();
    let before = Traces::of(host);
    for outcome in [runtime.create(&bundle), runtime.run(&bundle)] {
        let message = outcome.fails(1);
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
        assert_eq!(message.matches("error:").count(), 1, "{message}");
    }
    assert_eq!(Traces::of(host).beyond(&before), [""; 0]);
    // The id is free.
    let good = Bundle::new(host, ID, two_gpus().sh("ls /dev/dri"));
    assert_eq!(runtime.run(&good).ok().lines().count(), 4);
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_and_nothing_is_left() {
    let Some(host) = host() else { return };
    let spec = Spec::docker().env("AMD_VISIBLE_DEVICES=0,99").sh("true");
    assert_fails_cleanly(&host, spec, &["99", "hint:"]);
}

#[test]
fn a_node_that_is_missing_on_the_host_is_an_error_and_nothing_is_left() {
    let Some(host) = host() else { return };
    let node = "/dev/dri/renderD184";
    host.inside(|| fs::remove_file(node)).unwrap().unwrap();
    let spec = Spec::docker().env("AMD_VISIBLE_DEVICES=7").sh("true");
    assert_fails_cleanly(&host, spec, &[node]);
}

#[test]
fn what_else_fails_is_said_where_the_gpus_are_there() {
    let Some(host) = host() else { return };
    let mount =
        json!({"destination": "/m", "type": "bind", "source": "/no/such", "options": ["bind"]});
    let spec = two_gpus().push("/mounts", mount).sh("true");
    assert_fails_cleanly(&host, spec, &["/no/such"]);
    let spec = two_gpus().args(&["no-such-program"]);
    let runtime = Runtime::under_test(&host);
    let message = runtime.create(&Bundle::new(&host, "p", spec)).fails(1);
    assert!(message.contains("no-such-program"), "{message}");
}

#[test]
fn a_missing_gpu_comes_before_what_else_fails() {
    let Some(host) = host() else { return };
    let spec = Spec::docker()
        .env("AMD_VISIBLE_DEVICES=99")
        .args(&["no-such-program"]);
    assert_fails_cleanly(&host, spec, &["99"]);
}

#[test]
fn nodes_are_made_with_their_owners_in_a_dev_that_becomes_read_only() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = two_gpus()
        .without_mount("/dev")
        .push(
            "/mounts",
            json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]}),
        )
        .without_mount("/dev/pts")
        .without_mount("/dev/shm")
        .without_mount("/dev/mqueue")
        .sh("stat -c '%n %a %u %g' /dev/kfd /dev/dri/*; touch /dev/x 2>&1 || true");
    let seen = runtime.run(&Bundle::new(&host, ID, spec)).ok();
    assert_eq!(
        seen.lines().collect::<Vec<_>>(),
        [
            "/dev/kfd 660 0 109",
            "/dev/dri/card1 660 0 44",
            "/dev/dri/card9 660 0 44",
            "/dev/dri/renderD128 660 0 109",
            "/dev/dri/renderD136 660 0 109",
            "touch: /dev/x: Read-only file system",
        ]
    );
}

#[test]
fn nodes_that_the_spec_masks_are_an_error() {
    let Some(host) = host() else { return };
    let spec = two_gpus()
        .push("/linux/maskedPaths", json!("/dev/dri"))
        .sh("true");
    assert_fails_cleanly(&host, spec, &["/dev/dri/"]);
}

#[test]
fn a_process_that_is_not_root_has_the_groups_of_its_gpus() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = two_gpus().user(1000, 1000).sh("id -G");
    let groups = runtime.run(&Bundle::new(&host, ID, spec)).ok();
    for group in ["44", "109"] {
        assert!(
            groups.split_whitespace().any(|one| one == group),
            "{groups}"
        );
    }
}

#[test]
fn a_request_that_names_nothing_here_can_be_a_warning() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host).settings("[gpus]\nunknown = \"warn\"\n");
    let spec = Spec::docker()
        .env("AMD_VISIBLE_DEVICES=99")
        .sh("ls /dev/dri 2>&1; true");
    let outcome = runtime.run(&Bundle::new(&host, ID, spec));
    assert!(outcome.stderr.contains("99"), "{outcome}");
    assert!(outcome.ok().contains("No such file"));
}
