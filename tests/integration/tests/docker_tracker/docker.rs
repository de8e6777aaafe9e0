//! Exclusive GPUs through a dockerd.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::process::Command;

use integration::binary::runtime_under_test;
use integration::docker::{self, Docker};
use integration::host::SimulatedHost;
use integration::require;
use integration::runtime::eventually;

use crate::fixture::{ctk, holders, host_with_exclusive, status};

/// Starts a container with GPU 0 that runs until it is killed. Its id.
#[track_caller]
fn hold(docker: &Docker<'_>, name: &str) -> String {
    let options = ["-d", "--name", name, "-e", "AMD_VISIBLE_DEVICES=0"];
    let id = docker.run(&options, &["sleep", "1000"]).ok();
    id.trim_end().to_owned()
}

#[track_caller]
fn start(host: &SimulatedHost) -> Docker<'_> {
    Docker::start(host, &runtime_under_test().unwrap())
}

#[track_caller]
fn assert_free(host: &SimulatedHost, docker: &Docker<'_>, after: &str) {
    eventually(&format!("the GPU is free after {after}"), || {
        holders(host, 0).is_empty()
    });
    let look = ["--rm", "-e", "AMD_VISIBLE_DEVICES=0"];
    docker.run(&look, &["true"]).ok();
}

/// The pids of the processes on the host whose command line has `word`, as the host sees them.
fn pids(host: &SimulatedHost, word: &str) -> Vec<String> {
    host.inside(|| {
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        all.filter(|entry| {
            let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(word)
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
    })
    .unwrap()
}

#[test]
fn docker_run_shows_who_has_the_gpu_and_every_end_of_a_container_frees_it() {
    if !require::programs(&docker::PROGRAMS) {
        return;
    }
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let docker = start(&host);

    let id = hold(&docker, "holder");
    let refused = docker.run(&["--rm", "-e", "AMD_VISIBLE_DEVICES=0"], &["true"]);
    let message = format!(
        "GPUs [0] are exclusive and already in use: GPU 0 ({}) by container {id} (pid ",
        status(&host)["gpus"][0]["uuid"].as_str().unwrap()
    );
    assert!(refused.stderr.contains(&message), "{refused}");
    assert!(refused.stderr.contains("(hint: "), "{refused}");
    assert_eq!(refused.code, 125, "{refused}");
    let known = &status(&host)["gpus"][0]["containers"][0];
    assert_eq!(known["engine"], "docker");
    assert_eq!(known["image"], docker::IMAGE);
    // By its nodes, as engines write them for --device and for CDI devices.
    let node = ["--rm", "--device", "/dev/dri/renderD128"];
    let refused = docker.run(&node, &["true"]);
    assert!(refused.stderr.contains(&message), "{refused}");
    // The beginning of the id, as docker shows it.
    let stderr = ctk(&host, &["release", &id[..12]]).fails(1);
    assert!(stderr.contains("--force"), "{stderr}");

    docker.call(&["rm", "-f", "holder"]).ok();
    assert_free(&host, &docker, "docker rm -f");

    hold(&docker, "holder");
    docker.call(&["kill", "holder"]).ok();
    assert_free(&host, &docker, "docker kill");
    docker.call(&["rm", "-f", "holder"]).ok();

    hold(&docker, "holder");
    docker.call(&["stop", "--time", "0", "holder"]).ok();
    assert_free(&host, &docker, "docker stop");
    docker.call(&["start", "holder"]).ok();
    assert_eq!(holders(&host, 0).len(), 1);

    for pid in pids(&host, "containerd-shim") {
        let killed = host.spawn(Command::new("kill").args(["-KILL", &pid]));
        killed.unwrap().wait().unwrap();
    }
    assert_free(&host, &docker, "a kill of its shim");
    docker.call(&["rm", "-f", "holder"]).ok();

    // dockerd is killed, and its containerd with it: the container runs on, and is in the way of
    // others, until the next dockerd ends it.
    hold(&docker, "holder");
    drop(docker);
    assert_eq!(holders(&host, 0).len(), 1);
    let docker = start(&host);
    assert_free(&host, &docker, "a restart of dockerd");
}
