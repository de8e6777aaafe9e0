//! Where the runtime finds and leaves its files, and those of its caller.

use std::fs;
use std::process::Command;

use integration::bundle::Bundle;
use integration::outcome::Outcome;
use integration::runtime::Runtime;
use integration::spec::Spec;

use crate::fixture::{TWO_GPUS, host, sleeper};

/// Runs a script of sh on the host: `$0` is the runtime.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
fn sh(host: &integration::host::SimulatedHost, script: &str) -> Outcome {
    let program = Runtime::under_test(host).program().to_owned();
    let mut command = Command::new("/bin/sh");
    command.args(["-e", "-c", script]).arg(program);
    Outcome::of(host, &mut command).unwrap()
}

#[test]
fn in_a_chroot_all_files_are_in_it() {
    let Some(host) = host() else { return };
    let spec = sleeper(Spec::docker().env(TWO_GPUS));
    let _bundle = Bundle::new(&host, "c", spec);
    let script = "mkdir /run/x; mount --rbind / /run/x; mount -t tmpfs tmpfs /run/x/run
        mkdir /run/x/run/bundle; mount --rbind /run/bundles/c /run/x/run/bundle
        runtime() { chroot /run/x \"$0\" --root /run/state \"$@\"; }
        runtime create --bundle /run/bundle --pid-file /run/pid c
        runtime start c
        ls -d /run/x/run/pid /run/x/run/state/*
        runtime delete --force c
        ls -d /run/pid /run/state /run/amd-container-toolkit 2>/dev/null || echo none";
    let listed = sh(&host, script).ok();
    assert_eq!(listed, "/run/x/run/pid\n/run/x/run/state/c\nnone\n");
}

#[test]
fn a_root_can_be_relative_to_the_working_directory() {
    let Some(host) = host() else { return };
    let _bundle = Bundle::new(&host, "c", sleeper(Spec::docker().env(TWO_GPUS)));
    let script = "mkdir /run/here; cd /run/here
        runtime() { \"$0\" --root state \"$@\"; }
        runtime create --bundle ../bundles/c --pid-file pid c
        runtime start c
        ls /run/here /run/here/state
        runtime delete --force c
        runtime list -q";
    let listed = sh(&host, script).ok();
    assert_eq!(listed, "/run/here:\npid\nstate\n\n/run/here/state:\nc\n");
    let left = host.inside(|| fs::read_dir("/run/here/state").map(Iterator::count));
    assert_eq!(left.unwrap().unwrap(), 0);
}
