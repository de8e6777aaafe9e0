//! The runtime's command line is that of runc.

use std::process::Command;

use integration::bundle::Bundle;
use integration::host::SimulatedHost;
use integration::outcome::Outcome;
use integration::runtime::Runtime;

use crate::fixture::{ctk, host, looks, read};

/// Runs the runtime in a directory of the host.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "helper of tests")]
fn call_in(host: &SimulatedHost, dir: &str, words: &[&str]) -> Outcome {
    let mut command: Command = Runtime::under_test(host).command(words);
    Outcome::of(host, command.current_dir(dir)).unwrap()
}

#[test]
fn without_bundle_the_directory_is_the_bundle_and_nothing_is_written() {
    let Some(host) = host() else { return };
    let message = call_in(&host, "/", &["create", "c"]).fails(1);
    assert!(message.contains("config.json"), "{message}");
    assert_eq!(read(&host, "/config.json"), None);
    let bundle = Bundle::new(&host, "c", looks("0"));
    call_in(&host, bundle.path().to_str().unwrap(), &["create", "c"]).ok();
}

#[test]
fn options_can_stand_behind_the_id() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", looks("0"));
    let dir = bundle.path().to_str().unwrap();
    runtime.call(&["create", "c", "--bundle", dir]).ok();
    assert_eq!(runtime.state("c")["bundle"], dir);
}

#[test]
fn words_behind_the_id_of_exec_are_the_programs() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let sleeps = looks("0").args(&["sleep", "1000"]);
    runtime.up(&Bundle::new(&host, "c", sleeps));
    let words = ["echo", "--bundle", "/x", "--root", "--help", "--version"];
    assert_eq!(
        runtime.exec("c", &words).ok(),
        "--bundle /x --root --help --version\n"
    );
}

#[test]
fn an_exec_that_fails_leaves_another_container_its_gpu() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let sleeps = looks("0").args(&["sleep", "1000"]);
    runtime.up(&Bundle::new(&host, "c", sleeps));
    assert_ne!(runtime.exec("c", &["no-such-program"]).code, 0);
    assert_ne!(runtime.exec("other", &["c"]).code, 0);
    let seen = runtime.exec("c", &["ls", "/dev/dri"]).ok();
    assert_eq!(seen, "card1\nrenderD128\n");
    runtime
        .exec("c", &["test", "-c", "/dev/dri/renderD128"])
        .ok();
}

#[test]
fn the_commands_of_the_manuals_are_there() {
    let Some(host) = host() else { return };
    for words in [
        &["cdi", "generate"][..],
        &["cdi", "generate", "--output=/etc/cdi/amd.json"],
        &["cdi", "list"],
        &["cdi", "validate"],
        &["cdi", "validate", "--path=/etc/cdi/amd.json"],
        &["gpu", "list"],
        &["version"],
        &["runtime", "configure", "--remove"],
        &["runtime", "configure", "--runtime=docker", "--remove"],
        &["configure", "runtime", "--remove"],
        &["configure", "runtime", "--unset-amd-as-default"],
        &["runtime", "configure", "--unset-as-default"],
        &["--debug", "gpu", "list"],
        &["gpu", "list", "-d"],
    ] {
        ctk(&host, words).ok();
    }
}

#[test]
fn cdi_list_prints_what_the_manual_shows() {
    let Some(host) = host() else { return };
    let list = ctk(&host, &["cdi", "list"]).ok();
    let gpu_0 = "amd.com/gpu=0\n  /dev/dri/card1\n  /dev/dri/renderD128\n";
    let head = format!("Found 8 AMD GPU devices\namd.com/gpu=all\n{gpu_0}");
    assert!(list.starts_with(&head), "{list}");
}
