//! Containers that are run by a docker of the tests' own.

use integration::binary::runtime_under_test;
use integration::docker::{self, Docker};
use integration::host::SimulatedHost;
use integration::mi300x::{self, listing, nodes};
use integration::probe::{self, SHELL, Seen};
use integration::require;
use integration::runtime::eventually;

/// The request of most containers here, as options of `docker run`.
pub const TWO_GPUS: [&str; 2] = ["-e", "AMD_VISIBLE_DEVICES=0,1"];

/// A host of eight GPUs, where the machine can have one.
pub fn host() -> Option<SimulatedHost> {
    if !require::programs(&docker::PROGRAMS) {
        return None;
    }
    require::host_with(mi300x::PRESET, crate::CGROUPS)
}

/// A docker on the host, with the runtime under test.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
pub fn start(host: &SimulatedHost) -> Docker<'_> {
    Docker::start(host, &runtime_under_test().unwrap())
}

/// `docker run --rm` of a script: what it saw of devices.
#[track_caller]
pub fn look(docker: &Docker<'_>, options: &[&str], script: &str) -> Vec<Seen> {
    let script = format!("{SHELL}{script}");
    let options = [&["--rm"], options].concat();
    probe::parse(&docker.run(&options, &["sh", "-c", &script]).ok())
}

/// `docker exec` of a script in container `box`: what it saw of devices.
#[track_caller]
pub fn look_in(docker: &Docker<'_>, options: &[&str], script: &str) -> Vec<Seen> {
    let script = format!("{SHELL}{script}");
    let words = [&["exec"], options, &["box", "sh", "-c", &script]].concat();
    probe::parse(&docker.call(&words).ok())
}

/// Starts container `box` with two GPUs, which sleeps until a signal ends it.
#[track_caller]
pub fn sleeper(docker: &Docker<'_>, options: &[&str]) {
    let script = "trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done";
    let options = [&["-d", "--name", "box"], &TWO_GPUS[..], options].concat();
    docker.run(&options, &["sh", "-c", script]).ok();
    eventually("the program runs", || {
        docker.call(&["logs", "box"]).ok() == "ready\n"
    });
}

/// Checks that container `box` opens the nodes of GPUs 0 and 1, and not those of GPU 2 that it
/// makes itself.
#[track_caller]
pub fn assert_opens_gpus_0_and_1_alone(docker: &Docker<'_>) {
    let granted = look_in(docker, &[], "gpus");
    assert_eq!(listing(&granted), nodes(&[0, 1]));
    assert!(granted.iter().all(Seen::allowed), "{granted:#?}");
    let forged = look_in(
        docker,
        &[],
        &format!("rm -f /tmp/forged*; {}", mi300x::forge(2)),
    );
    assert!(
        forged.len() == 2 && forged.iter().all(Seen::denied),
        "{forged:#?}"
    );
}

/// `docker inspect` of container `box`, by a Go template.
#[track_caller]
pub fn inspect(docker: &Docker<'_>, template: &str) -> String {
    docker
        .call(&["inspect", "--format", template, "box"])
        .ok()
        .trim_end()
        .to_owned()
}
