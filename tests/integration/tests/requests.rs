//! Which requests for GPUs count, and what they come to.

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x::{self, listing, nodes};
use integration::outcome::Outcome;
use integration::probe::{self, SHELL, Seen};
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;

fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, Cgroups::V1)
}

/// Runs a container with these variables that looks for its GPUs.
fn run(host: &SimulatedHost, runtime: &Runtime<'_>, spec: Spec, variables: &[&str]) -> Outcome {
    let spec = variables
        .iter()
        .fold(spec, |spec, variable| spec.env(variable));
    let bundle = Bundle::new(host, "c", spec.sh(&format!("{SHELL}gpus")));
    runtime.run(&bundle)
}

/// The device nodes that a container with these variables has.
#[track_caller]
fn granted(host: &SimulatedHost, variables: &[&str]) -> Vec<String> {
    let runtime = Runtime::under_test(host);
    listing(&probe::parse(
        &run(host, &runtime, Spec::docker(), variables).ok(),
    ))
}

#[track_caller]
fn assert_grants(variables: &[&str], gpus: &[usize]) {
    let Some(host) = host() else { return };
    let expected = if gpus.is_empty() {
        Vec::new()
    } else {
        nodes(gpus)
    };
    assert_eq!(granted(&host, variables), expected);
}

#[test]
fn the_last_variable_counts() {
    assert_grants(&["AMD_VISIBLE_DEVICES=all", "AMD_VISIBLE_DEVICES=1"], &[1]);
}

#[test]
fn an_empty_last_variable_asks_for_nothing() {
    assert_grants(&["AMD_VISIBLE_DEVICES=all", "AMD_VISIBLE_DEVICES="], &[]);
}

#[test]
fn none_is_no_gpu() {
    assert_grants(&["AMD_VISIBLE_DEVICES=none"], &[]);
}

#[test]
fn void_is_not_to_ask() {
    assert_grants(&["AMD_VISIBLE_DEVICES=void"], &[]);
}

#[test]
fn an_empty_variable_is_not_to_ask() {
    assert_grants(&["AMD_VISIBLE_DEVICES="], &[]);
}

#[test]
fn all_is_every_gpu() {
    assert_grants(&["AMD_VISIBLE_DEVICES=all"], &[0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn ranges_and_indices_are_joined_and_duplicates_folded() {
    assert_grants(&["AMD_VISIBLE_DEVICES= 1-3, 2 ,6,6 "], &[1, 2, 3, 6]);
}

#[test]
fn cdi_names_are_gpus() {
    assert_grants(
        &["AMD_VISIBLE_DEVICES=amd.com/gpu=0,amd.com/gpu=7"],
        &[0, 7],
    );
}

#[test]
fn pci_addresses_are_gpus() {
    assert_grants(&["AMD_VISIBLE_DEVICES=0000:05:00.0,26:00.0"], &[0, 1]);
}

#[test]
fn a_uuid_is_a_gpu_in_every_spelling() {
    let Some(host) = host() else { return };
    let path = "/sys/bus/pci/devices/0000:26:00.0/unique_id";
    let sysfs = host
        .inside(|| std::fs::read_to_string(path))
        .unwrap()
        .unwrap();
    let sysfs = sysfs.trim();
    let upper = sysfs.to_uppercase();
    let bare = upper.trim_start_matches('0');
    for uuid in [
        sysfs.to_owned(),
        format!("0x{bare}"),
        format!("GPU-{sysfs}"),
        format!("gpu-{upper}"),
    ] {
        assert_eq!(
            granted(&host, &[&format!("AMD_VISIBLE_DEVICES={uuid}")]),
            nodes(&[1]),
            "{uuid}"
        );
    }
}

#[test]
fn a_swarm_resource_is_merged_with_the_variable() {
    assert_grants(
        &["AMD_VISIBLE_DEVICES=0", "DOCKER_RESOURCE_AMD_GPU=2"],
        &[0, 2],
    );
}

#[test]
fn a_swarm_resource_alone_is_a_request() {
    assert_grants(&["DOCKER_RESOURCE_AMD-GPU=5"], &[5]);
}

#[test]
fn another_kind_of_swarm_resource_is_none() {
    assert_grants(
        &["DOCKER_RESOURCE_FPGA=0", "DOCKER_RESOURCE_NVIDIA_GPU=1"],
        &[],
    );
}

#[test]
fn a_part_that_names_no_gpu_fails_the_request() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    for (request, culprit) in [
        ("0,99", "99"),
        ("0-9", "0-9"),
        ("3-1", "3-1"),
        ("GPU-0000000000000001", "GPU-0000000000000001"),
        ("0000:ff:00.0", "0000:ff:00.0"),
        ("nvidia.com/gpu=0", "nvidia.com/gpu=0"),
        ("gpu0", "gpu0"),
        ("0-4294967295", "0-4294967295"),
    ] {
        let variable = format!("AMD_VISIBLE_DEVICES={request}");
        let message = run(&host, &runtime, Spec::docker(), &[&variable]).fails(1);
        assert!(
            message.contains(&format!("{culprit:?}")),
            "{request}: {message}"
        );
        assert!(
            message.contains("hint: GPUs here: 0-7"),
            "{request}: {message}"
        );
    }
}

#[test]
fn on_a_host_without_gpus_a_request_fails_and_says_so() {
    let Some(host) = require::host("none", Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let message = run(
        &host,
        &runtime,
        Spec::docker(),
        &["AMD_VISIBLE_DEVICES=all"],
    )
    .fails(1);
    assert!(message.contains("amdgpu"), "{message}");
}

#[test]
fn on_a_host_without_gpus_containers_run_that_ask_for_none() {
    let Some(host) = require::host("none", Cgroups::V1) else {
        return;
    };
    assert_eq!(granted(&host, &["AMD_VISIBLE_DEVICES=void"]), [""; 0]);
}

#[test]
fn partitions_are_gpus_of_their_own() {
    let Some(host) = require::host("mi300x-8-cpx", Cgroups::V1) else {
        return;
    };
    let seen = granted(&host, &["AMD_VISIBLE_DEVICES=9"]);
    let paths: Vec<&str> = seen
        .iter()
        .filter_map(|node| node.split(' ').next())
        .collect();
    assert_eq!(paths, ["/dev/dri/card9", "/dev/dri/renderD137", "/dev/kfd"]);
}

#[test]
fn a_gpu_that_is_not_amds_is_not_counted() {
    let Some(host) = require::host("mixed", Cgroups::V1) else {
        return;
    };
    // GPU 0 is the card in slot 03, found last; the NVIDIA card has card1 and renderD129.
    let seen = granted(&host, &["AMD_VISIBLE_DEVICES=0"]);
    let paths: Vec<&str> = seen
        .iter()
        .filter_map(|node| node.split(' ').next())
        .collect();
    assert_eq!(paths, ["/dev/dri/card2", "/dev/dri/renderD130", "/dev/kfd"]);
}

#[test]
fn a_setting_turns_an_unknown_gpu_into_a_warning() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host)
        .settings("[gpus]\nunknown = \"warn\"\n")
        .option(&["--log", "/run/bundles/log", "--log-format", "json"]);
    let outcome = run(
        &host,
        &runtime,
        Spec::docker(),
        &["AMD_VISIBLE_DEVICES=1,99"],
    );
    assert_eq!(listing(&probe::parse(&outcome.ok())), nodes(&[1]));
    let log = host
        .inside(|| std::fs::read_to_string("/run/bundles/log"))
        .unwrap()
        .unwrap();
    let warning = log
        .lines()
        .find(|line| line.contains("\"level\":\"warning\""));
    assert!(warning.is_some_and(|line| line.contains("99")), "{log}");
}

#[test]
fn a_setting_turns_the_additional_groups_off() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host).settings("[gpus]\nadditional-gids = false\n");
    let spec = Spec::docker().user(1000, 1000);
    let seen = probe::parse(&run(&host, &runtime, spec, &["AMD_VISIBLE_DEVICES=1"]).ok());
    assert_eq!(listing(&seen), nodes(&[1]));
    assert!(
        seen.iter()
            .all(|node| node.read == probe::Access::Forbidden),
        "{seen:#?}"
    );
}

#[test]
fn a_setting_lets_privileged_containers_alone_ask() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host).settings("[gpus]\nrequests-from = \"privileged\"\n");
    let ask = ["AMD_VISIBLE_DEVICES=1"];
    let plain = run(&host, &runtime, Spec::docker(), &ask).ok();
    assert_eq!(listing(&probe::parse(&plain)), [""; 0]);
    let privileged = run(&host, &runtime, Spec::docker().all_capabilities(), &ask).ok();
    assert_eq!(listing(&probe::parse(&privileged)), nodes(&[1]));
}

#[test]
fn a_setting_lets_no_container_ask() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host).settings("[gpus]\nrequests-from = \"none\"\n");
    let spec = Spec::docker().all_capabilities();
    let seen: Vec<Seen> =
        probe::parse(&run(&host, &runtime, spec, &["AMD_VISIBLE_DEVICES=1"]).ok());
    assert_eq!(listing(&seen), [""; 0]);
}

#[test]
fn a_setting_says_which_swarm_resources_are_gpus() {
    let Some(host) = host() else { return };
    let runtime =
        Runtime::under_test(&host).settings("[gpus]\nresource-kinds = [\"ACCELERATOR\"]\n");
    let variables = ["DOCKER_RESOURCE_ACCELERATOR=4", "DOCKER_RESOURCE_AMD_GPU=2"];
    let seen = probe::parse(&run(&host, &runtime, Spec::docker(), &variables).ok());
    assert_eq!(listing(&seen), nodes(&[4]));
}

#[test]
fn the_settings_file_is_in_etc_unless_another_is_named() {
    let Some(host) = host() else { return };
    let write = || {
        std::fs::create_dir_all("/etc/amd-container-runtime")?;
        std::fs::write(
            "/etc/amd-container-runtime/config.toml",
            "[gpus]\nrequests-from = \"none\"\n",
        )
    };
    host.inside(write).unwrap().unwrap();
    assert_eq!(granted(&host, &["AMD_VISIBLE_DEVICES=1"]), [""; 0]);
}

#[test]
fn an_unknown_setting_is_an_error_with_its_line() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host).settings("[gpus]\nadditonal-gids = true\n");
    let message = run(&host, &runtime, Spec::docker(), &["AMD_VISIBLE_DEVICES=1"]).fails(1);
    assert!(message.contains("settings-under-test.toml:2"), "{message}");
    assert!(message.contains("additonal-gids"), "{message}");
}
