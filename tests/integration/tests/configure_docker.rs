//! A docker that `amd-ctk runtime configure` told of the runtime.

use std::fs;
use std::process::Command;

use integration::binary::runtime_under_test;
use integration::configure::configure;
use integration::docker::{self, Docker};
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x::{self, listing, nodes};
use integration::outcome::Outcome;
use integration::probe::{self, SHELL};
use integration::require;
use integration::runtime::eventually;

const DAEMON_JSON: &str = "/etc/docker/daemon.json";

#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
fn host() -> Option<SimulatedHost> {
    if !require::programs(&docker::PROGRAMS) {
        return None;
    }
    require::host(mi300x::PRESET, Cgroups::V1)
}

/// What a container with two GPUs sees, by the runtime that `options` name.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
fn two_gpus(docker: &Docker<'_>, options: &[&str]) -> Vec<String> {
    let script = format!("{SHELL}gpus");
    let words = [
        &[
            "run",
            "--rm",
            "--network=none",
            "-e",
            "AMD_VISIBLE_DEVICES=0,1",
        ],
        options,
        &[docker::IMAGE, "sh", "-c", &script],
    ]
    .concat();
    listing(&probe::parse(&docker.call(&words).ok()))
}

#[test]
fn a_container_runs_by_the_name_that_was_configured() {
    let Some(host) = host() else { return };
    configure(&host, "docker", &["--runtime-name", "gpu"]).ok();
    let docker = Docker::start_as_configured(&host);
    assert_eq!(two_gpus(&docker, &["--runtime=gpu"]), nodes(&[0, 1]));
}

#[test]
fn a_container_runs_by_default_where_that_was_configured() {
    let Some(host) = host() else { return };
    configure(&host, "docker", &["--set-as-default"]).ok();
    let docker = Docker::start_as_configured(&host);
    assert_eq!(two_gpus(&docker, &[]), nodes(&[0, 1]));
}

#[test]
fn a_running_dockerd_is_told_without_a_restart() {
    let Some(host) = host() else { return };
    let docker = Docker::start_as_configured(&host);
    let words = [
        "run",
        "--rm",
        "--runtime=amd",
        "--network=none",
        docker::IMAGE,
        "true",
    ];
    assert!(docker.call(&words).fails(125).contains("amd"));
    configure(&host, "docker", &["--restart"]).ok();
    eventually("dockerd knows the runtime", || {
        let known = docker
            .call(&["info", "--format", "{{json .Runtimes}}"])
            .ok();
        known.contains("\"amd\"")
    });
    assert_eq!(two_gpus(&docker, &["--runtime=amd"]), nodes(&[0, 1]));
}

#[test]
fn a_dockerd_that_was_not_told_before_is_told_by_the_same_command() {
    let Some(host) = host() else { return };
    let docker = Docker::start_as_configured(&host);
    configure(&host, "docker", &[]).ok();
    let said = configure(&host, "docker", &["--restart"]).ok();
    assert_eq!(said, "nothing to change; the engine is told all the same\n");
    eventually("dockerd knows the runtime", || {
        let known = docker
            .call(&["info", "--format", "{{json .Runtimes}}"])
            .ok();
        known.contains("\"amd\"")
    });
}

#[test]
fn a_dockerd_that_is_not_there_is_a_warning_where_nothing_was_to_remove() {
    let Some(host) = host() else { return };
    for (options, code) in [(&["--remove", "--restart"][..], 0), (&["--restart"], 1)] {
        let outcome = configure(&host, "docker", options);
        assert_eq!(outcome.code, code, "{outcome}");
        // And again, where nothing is left to change.
        let outcome = configure(&host, "docker", options);
        assert_eq!(outcome.code, code, "{outcome}");
    }
}

#[test]
fn dockerd_starts_after_a_removal_where_the_default_of_before_has_gone() {
    let Some(host) = host() else { return };
    let nvidia = r#"{"default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "/bin/n"}}}"#;
    let write = |text: &str| {
        host.inside(|| {
            fs::create_dir_all("/etc/docker")?;
            fs::write(DAEMON_JSON, text)
        })
        .unwrap()
        .unwrap();
    };
    let read = || {
        host.inside(|| fs::read_to_string(DAEMON_JSON))
            .unwrap()
            .unwrap()
    };
    write(nvidia);
    configure(&host, "docker", &["--set-as-default"]).ok();
    write(&read().replace(r#""nvidia": {"path": "/bin/n"}, "#, ""));
    configure(&host, "docker", &["--remove"]).ok();
    assert!(!read().contains("nvidia"), "{}", read());
    Docker::start_as_configured(&host);
}

#[test]
fn a_daemon_that_is_not_there_cannot_be_told() {
    let Some(host) = host() else { return };
    let message = configure(&host, "docker", &["--restart"]).fails(1);
    assert!(message.contains("/var/run/docker.pid"), "{message}");
    assert!(
        message.contains("\nhint: to apply it: systemctl reload docker"),
        "{message}"
    );
    let text = host
        .inside(|| fs::read_to_string(DAEMON_JSON))
        .unwrap()
        .unwrap();
    assert!(text.contains("\"amd\""), "{text}");
}

#[test]
fn dockerd_finds_the_file_valid() {
    let Some(host) = host() else { return };
    let dockerd = require::find("dockerd").unwrap();
    let help = Outcome::of(&host, Command::new(&dockerd).arg("--help"))
        .unwrap()
        .ok();
    if !help.contains("--validate") {
        eprintln!("skipped: this dockerd does not know --validate");
        return;
    }
    configure(&host, "docker", &["--set-as-default", "--enable-cdi"]).ok();
    let mut validate = Command::new(&dockerd);
    validate.args(["--validate", "--config-file", DAEMON_JSON]);
    Outcome::of(&host, &mut validate).unwrap().ok();
}

#[test]
fn docker_goes_on_without_the_runtime_after_removal() {
    let Some(host) = host() else { return };
    let before = host.inside(|| fs::read(DAEMON_JSON).ok()).unwrap();
    configure(&host, "docker", &["--set-as-default"]).ok();
    configure(&host, "docker", &["--remove"]).ok();
    assert_eq!(host.inside(|| fs::read(DAEMON_JSON).ok()).unwrap(), before);
    let docker = Docker::start_as_configured(&host);
    let known = docker
        .call(&["info", "--format", "{{json .Runtimes}}"])
        .ok();
    let program = runtime_under_test().unwrap();
    assert!(
        !known.contains("\"amd\""),
        "{known} has {}",
        program.display()
    );
}
