//! GPU containers from a Rust program: the example `gpu_container` of amd-runtime.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x::{self, listing, nodes};
use integration::outcome::Outcome;
use integration::probe::{self, SHELL, Seen};
use integration::require;
use integration::spec::Spec;
use integration::traces::Traces;
use serde_json::Value;

fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, Cgroups::V1)
}

/// The example's program, from cargo, which builds it where it is not up to date.
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn example() -> PathBuf {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        // Of the workspace, so that dependencies have the features that they have in tests.
        .args([
            "build",
            "--workspace",
            "--example",
            "gpu_container",
            "--quiet",
        ])
        .arg("--message-format=json")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "cargo: {}", output.status);
    let messages = String::from_utf8(output.stdout).unwrap();
    let program = messages
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|message| message["target"]["name"] == "gpu_container");
    program.unwrap()["executable"].as_str().unwrap().into()
}

/// Runs the example, with the request `gpus`.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
fn run(host: &SimulatedHost, gpus: &str, bundle: &Bundle<'_>) -> Outcome {
    let mut command = Command::new(example());
    command
        .args(["--gpus", gpus, "--bundle"])
        .arg(bundle.path())
        .arg(bundle.id());
    Outcome::of(host, &mut command).unwrap()
}

#[test]
fn a_program_runs_a_container_with_the_gpus_that_it_names() {
    let Some(host) = host() else { return };
    let script = format!("{SHELL}gpus; {}", mi300x::forge(2));
    let output = run(
        &host,
        "0,1",
        &Bundle::new(&host, "c", Spec::docker().sh(&script)),
    )
    .ok();
    let granted: Vec<&str> = output
        .lines()
        .filter(|line| line.starts_with("granted "))
        .collect();
    let expected = [
        "granted amd.com/gpu=0 at 0000:05:00.0",
        "granted amd.com/gpu=1 at 0000:26:00.0",
    ];
    assert_eq!(granted, expected);
    let (forged, gpus): (Vec<Seen>, Vec<Seen>) = probe::parse(&output)
        .into_iter()
        .partition(|node| node.path.starts_with("/tmp"));
    assert_eq!(listing(&gpus), nodes(&[0, 1]));
    assert!(gpus.iter().all(Seen::allowed), "{gpus:#?}");
    assert!(
        forged.len() == 2 && forged.iter().all(Seen::denied),
        "{forged:#?}"
    );
}

#[test]
fn the_programs_request_goes_before_that_of_the_bundle() {
    let Some(host) = host() else { return };
    let spec = Spec::docker()
        .env("AMD_VISIBLE_DEVICES=all")
        .sh(&format!("{SHELL}gpus"));
    let output = run(&host, "3", &Bundle::new(&host, "c", spec)).ok();
    assert_eq!(listing(&probe::parse(&output)), nodes(&[3]));
}

#[test]
fn the_exit_code_of_the_container_is_the_programs_and_nothing_is_left() {
    let Some(host) = host() else { return };
    let bundle = Bundle::new(&host, "c", Spec::docker().sh("exit 42"));
    // The first run makes the directory for state, which stays.
    let _ = run(&host, "0", &bundle).fails(42);
    let before = Traces::of(&host);
    let _ = run(&host, "0", &bundle).fails(42);
    assert_eq!(Traces::of(&host).beyond(&before), [""; 0]);
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_with_a_hint() {
    let Some(host) = host() else { return };
    let message = run(&host, "99", &Bundle::new(&host, "c", Spec::docker())).fails(1);
    assert!(message.contains("\"99\" names no GPU"), "{message}");
    assert!(message.contains("\nhint: GPUs here: 0-7"), "{message}");
}
