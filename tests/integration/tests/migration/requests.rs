//! `AMD_VISIBLE_DEVICES` is granted to the letter, or the container does not start.

use std::process::Command;

use integration::bundle::Bundle;
use integration::mi300x::nodes;
use integration::outcome::Outcome;
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;

use crate::fixture::{granted, host, looks, text};

#[test]
fn a_request_that_names_no_gpu_is_an_error_that_says_why() {
    let Some(host) = host() else { return };
    for request in ["99", "abc", "0-", "3-1", "0,99"] {
        let bundle = Bundle::new(&host, "c", looks(request));
        let outcome = Runtime::under_test(&host).run(&bundle);
        assert_eq!(outcome.code, 1, "{request}: {outcome}");
        let part = request.trim_start_matches("0,");
        assert!(outcome.stderr.contains(&format!("\"{part}\"")), "{outcome}");
        assert!(outcome.stderr.contains("hint: "), "{outcome}");
    }
}

#[test]
fn what_the_go_toolkit_misread_is_granted() {
    let Some(host) = host() else { return };
    for (request, gpus) in [
        (" 0", &[0][..]),
        ("0, 1", &[0, 1]),
        ("0,0", &[0]),
        ("0-1,1-2", &[0, 1, 2]),
    ] {
        assert_eq!(granted(&host, looks(request)), nodes(gpus), "{request:?}");
    }
    assert!(granted(&host, looks("none")).is_empty());
}

#[test]
fn another_vendors_swarm_resource_is_no_request() {
    let Some(host) = host() else { return };
    let spec = looks("").env("DOCKER_RESOURCE_FPGA=0");
    assert!(granted(&host, spec).is_empty());
}

#[test]
fn a_range_of_millions_costs_neither_time_nor_memory() {
    if !require::programs(&["prlimit"]) {
        return;
    }
    let Some(host) = host() else { return };
    let bundle = Bundle::new(&host, "c", looks("0-50000000"));
    let dir = bundle.path().to_str().unwrap();
    let create = Runtime::under_test(&host).command(&["create", "--bundle", dir, "c"]);
    let mut limited = Command::new("prlimit");
    limited
        // Seconds of CPU time, and bytes: the Go toolkit took 22 s and 4.9 GB.
        .args(["--cpu=5", "--as=500000000"])
        .arg(create.get_program())
        .args(create.get_args());
    let message = Outcome::of(&host, &mut limited).unwrap().fails(1);
    assert!(message.contains("\"0-50000000\""), "{message}");
}

#[test]
fn a_uuid_is_found_with_and_without_its_leading_zeros() {
    let Some(host) = host() else { return };
    let file = "/sys/bus/pci/devices/0000:26:00.0/unique_id";
    let uuid = text(&host, file).trim().to_owned();
    for request in [
        format!("0x{uuid:0>16}"),
        format!("0x{}", uuid.trim_start_matches('0')),
        uuid,
    ] {
        assert_eq!(granted(&host, looks(&request)), nodes(&[1]), "{request}");
    }
}

#[test]
fn a_user_without_root_opens_the_gpus_by_the_groups_of_their_nodes() {
    let Some(host) = host() else { return };
    let spec = |request: &str| -> Spec { looks(request).user(1000, 1000) };
    let bundle = Bundle::new(&host, "c", spec("0"));
    let output = Runtime::under_test(&host).run(&bundle).ok();
    let seen = integration::probe::parse(&output);
    assert_eq!(seen.len(), 3);
    assert!(
        seen.iter().all(integration::probe::Seen::allowed),
        "{seen:#?}"
    );
}
