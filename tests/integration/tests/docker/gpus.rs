//! The GPUs that a docker container has, and those that it has not.

use std::process::Command;

use integration::docker;
use integration::mi300x::{self, listing, nodes};
use integration::outcome::Outcome;
use integration::probe::{self, SHELL, Seen};
use integration::require;

use crate::fixture::{
    TWO_GPUS, assert_opens_gpus_0_and_1_alone, host, look, look_in, sleeper, start,
};

#[test]
fn a_container_sees_the_gpus_that_it_asked_for_and_opens_them() {
    let Some(host) = host() else { return };
    let seen = look(&start(&host), &TWO_GPUS, "gpus");
    assert_eq!(listing(&seen), nodes(&[0, 1]));
    assert!(seen.iter().all(Seen::allowed), "{seen:#?}");
}

#[test]
fn a_container_cannot_open_a_gpu_that_it_did_not_ask_for() {
    let Some(host) = host() else { return };
    let seen = look(&start(&host), &TWO_GPUS, &mi300x::forge(2));
    assert!(
        seen.len() == 2 && seen.iter().all(Seen::denied),
        "{seen:#?}"
    );
}

#[test]
fn a_container_that_asks_for_no_gpu_has_none() {
    let Some(host) = host() else { return };
    let seen = look(&start(&host), &[], &format!("gpus; {}", mi300x::forge(0)));
    assert!(
        seen.len() == 2 && seen.iter().all(Seen::denied),
        "{seen:#?}"
    );
}

#[test]
fn gpus_survive_docker_update() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    sleeper(&docker, &[]);
    docker
        .call(&["update", "--memory=64m", "--memory-swap=64m", "box"])
        .ok();
    assert_opens_gpus_0_and_1_alone(&docker);
}

#[test]
fn gpus_are_there_after_docker_restart() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    sleeper(&docker, &[]);
    docker.call(&["restart", "box"]).ok();
    assert_opens_gpus_0_and_1_alone(&docker);
}

#[test]
fn a_gpu_that_is_not_there_is_an_error_that_names_it_and_those_that_are() {
    let Some(host) = host() else { return };
    let message = start(&host)
        .run(&["-e", "AMD_VISIBLE_DEVICES=99"], &["true"])
        .fails(125);
    assert!(message.contains("\"99\" names no GPU"), "{message}");
    assert!(message.contains("0-7"), "{message}");
}

#[test]
fn a_user_without_root_opens_the_gpus() {
    let Some(host) = host() else { return };
    let options = [&TWO_GPUS[..], &["--user", "1000"]].concat();
    let seen = look(&start(&host), &options, "gpus");
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(Seen::allowed), "{seen:#?}");
}

#[test]
fn a_user_of_docker_exec_opens_the_gpus() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    sleeper(&docker, &[]);
    assert_eq!(
        docker
            .call(&["exec", "--user", "1000", "box", "id", "-u"])
            .ok(),
        "1000\n"
    );
    let seen = look_in(&docker, &["--user", "1000"], "gpus");
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(Seen::allowed), "{seen:#?}");
}

#[test]
fn a_gpu_node_given_with_device_is_not_in_the_way() {
    let Some(host) = host() else { return };
    let options = [&TWO_GPUS[..], &["--device", "/dev/kfd"]].concat();
    let seen = look(&start(&host), &options, "gpus");
    assert_eq!(listing(&seen), nodes(&[0, 1]));
}

#[test]
fn a_privileged_container_keeps_all_devices() {
    if !require::all_capabilities() {
        return;
    }
    let Some(host) = host() else { return };
    let options = [&TWO_GPUS[..], &["--privileged"]].concat();
    let seen = look(&start(&host), &options, "gpus; look /dev/kmsg");
    let gpus: Vec<usize> = (0..8).collect();
    let listing = listing(&seen);
    assert!(
        nodes(&gpus).iter().all(|node| listing.contains(node)),
        "{listing:#?}"
    );
    assert!(seen.iter().all(Seen::allowed), "{seen:#?}");
}

#[test]
fn the_environment_of_an_image_is_a_request_too() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    docker
        .call(&["create", "--name", "plain", docker::IMAGE, "true"])
        .ok();
    let change = "ENV AMD_VISIBLE_DEVICES=3";
    docker
        .call(&["commit", "--change", change, "plain", "asks:local"])
        .ok();
    let script = format!("{SHELL}gpus");
    let words = [
        "run",
        "--rm",
        "--runtime=amd",
        "--network=none",
        "asks:local",
        "sh",
        "-c",
        &script,
    ];
    assert_eq!(
        listing(&probe::parse(&docker.call(&words).ok())),
        nodes(&[3])
    );
}

#[test]
fn containers_on_the_hosts_network_have_their_gpus() {
    let Some(host) = host() else { return };
    let docker = start(&host);
    let script = format!("{SHELL}gpus");
    let mut run = docker.command(&["run", "--rm", "--runtime=amd", "--network=host"]);
    let run: &mut Command = run
        .args(TWO_GPUS)
        .args([docker::IMAGE, "sh", "-c", &script]);
    let output = Outcome::of(&host, run).unwrap().ok();
    assert_eq!(listing(&probe::parse(&output)), nodes(&[0, 1]));
}
