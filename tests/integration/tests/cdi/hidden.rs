//! Where KFD hides GPUs, as it does from a process whose device cgroup denies them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use integration::host::SimulatedHost;
use integration::outcome::Outcome;
use integration::require;

use crate::fixture::{SPEC, ctk, host, program, read};

/// A host with two GPUs of eight hidden from [`confined`] processes: two nodes that root itself may
/// not read.
fn host_with_hidden() -> Option<SimulatedHost> {
    let host = host("mi300x-8").filter(|_| require::programs(&["setpriv"]))?;
    for node in [2, 5] {
        let file = format!("/sys/class/kfd/kfd/topology/nodes/{node}/properties");
        let close = || fs::set_permissions(file, Permissions::from_mode(0o000));
        host.inside(close).unwrap().unwrap();
    }
    Some(host)
}

#[track_caller]
fn confined(host: &SimulatedHost, words: &[&str]) -> Outcome {
    let mut command = Command::new("setpriv");
    command
        .arg("--bounding-set=-dac_override,-dac_read_search")
        .arg(program())
        .args(words);
    Outcome::of(host, &mut command).unwrap()
}

#[test]
fn it_is_said_that_gpus_are_not_listed() {
    let Some(host) = host_with_hidden() else {
        return;
    };
    for words in [
        &["gpu", "list"][..],
        &["gpu", "show", "0"],
        &["cdi", "list"],
        &["cdi", "generate", "-o", "-"],
    ] {
        let outcome = confined(&host, words);
        assert!(outcome.stderr.contains("KFD hides 2 GPUs"), "{outcome}");
        outcome.ok();
        assert_eq!(ctk(&host, words).stderr, "", "{words:?}");
    }
    let doctor = confined(&host, &["doctor"]);
    assert!(doctor.stdout.contains("KFD hides 2 GPUs"), "{doctor}");
}

#[test]
fn a_spec_that_may_have_them_stays() {
    let Some(host) = host_with_hidden() else {
        return;
    };
    let generate = ["cdi", "generate"];
    ctk(&host, &generate).ok();
    let whole = read(&host, SPEC);
    let message = confined(&host, &generate).fails(1);
    assert!(
        message.contains("may have GPUs that KFD hides"),
        "{message}"
    );
    assert!(message.contains("hint: "), "{message}");
    assert_eq!(read(&host, SPEC), whole);

    // A container has its own.
    confined(&host, &["cdi", "generate", "--force"]).ok();
    assert_ne!(read(&host, SPEC), whole);
    let again = confined(&host, &generate).ok();
    assert!(again.contains("unchanged"), "{again}");
}

#[test]
fn a_spec_is_not_removed_because_all_are_hidden() {
    let Some(host) = host_with_hidden() else {
        return;
    };
    ctk(&host, &["cdi", "generate"]).ok();
    let close_all = || {
        for node in fs::read_dir("/sys/class/kfd/kfd/topology/nodes")? {
            let file = node?.path().join("properties");
            fs::set_permissions(file, Permissions::from_mode(0o000))?;
        }
        std::io::Result::Ok(())
    };
    host.inside(close_all).unwrap().unwrap();
    let message = confined(&host, &["cdi", "generate", "--remove-if-none"]).fails(1);
    assert!(
        message.contains("may have GPUs that KFD hides"),
        "{message}"
    );
    read(&host, SPEC);
}
