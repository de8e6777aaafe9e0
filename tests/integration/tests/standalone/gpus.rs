//! The GPUs that a container has, and those that it has not.

use std::collections::BTreeMap;
use std::fs;

use integration::bundle::Bundle;
use integration::mi300x::{self, listing, nodes};
use integration::probe::{self, Access, SHELL, Seen};
use integration::runtime::Runtime;
use integration::spec::Spec;

use crate::fixture::{TWO_GPUS, assert_opens_gpus_0_and_1_alone, host, look, look_in, sleeper};

#[test]
fn a_container_has_the_nodes_of_its_gpus_with_the_hosts_numbers_modes_and_groups() {
    let Some(host) = host() else { return };
    let seen = look(&host, Spec::docker().env(TWO_GPUS), "gpus");
    assert_eq!(listing(&seen), nodes(&[0, 1]));
}

#[test]
fn a_container_can_open_the_nodes_of_its_gpus() {
    let Some(host) = host() else { return };
    let seen = look(&host, Spec::docker().env(TWO_GPUS), "gpus");
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(Seen::allowed), "{seen:#?}");
}

#[test]
fn another_gpu_cannot_be_opened_by_a_node_of_ones_own() {
    let Some(host) = host() else { return };
    let seen = look(&host, Spec::docker().env(TWO_GPUS), &mi300x::forge(2));
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(Seen::denied), "{seen:#?}");
}

#[test]
fn a_container_that_asks_for_no_gpu_has_none() {
    let Some(host) = host() else { return };
    let seen = look(
        &host,
        Spec::docker(),
        &format!("gpus; forge 511 0; {}", mi300x::forge(0)),
    );
    assert_eq!(seen.len(), 3);
    assert!(
        seen.iter()
            .all(|node| node.path.starts_with("/tmp/forged") && node.denied())
    );
}

#[test]
fn a_spec_without_device_rules_gets_no_other_gpu() {
    let Some(host) = host() else { return };
    let spec = Spec::minimal().capabilities(&["CAP_MKNOD"]).env(TWO_GPUS);
    let seen = look(&host, spec, &format!("gpus; {}", mi300x::forge(2)));
    let (forged, granted): (Vec<_>, Vec<_>) = seen
        .into_iter()
        .partition(|node| node.path.starts_with("/tmp"));
    assert_eq!(listing(&granted), nodes(&[0, 1]));
    assert!(granted.iter().all(Seen::allowed), "{granted:#?}");
    assert!(
        forged.len() == 2 && forged.iter().all(Seen::denied),
        "{forged:#?}"
    );
}

#[test]
fn a_spec_that_allows_every_device_keeps_them() {
    let Some(host) = host() else { return };
    let spec = Spec::docker().env(TWO_GPUS).device_rule(true, None, None);
    let seen = look(&host, spec, &mi300x::forge(2));
    assert!(
        seen.len() == 2 && seen.iter().all(Seen::allowed),
        "{seen:#?}"
    );
}

#[test]
fn a_container_without_root_gets_the_groups_of_its_gpus() {
    let Some(host) = host() else { return };
    let spec = Spec::docker().user(1000, 1000).env(TWO_GPUS);
    let seen = look(&host, spec, "gpus");
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(Seen::allowed), "{seen:#?}");
}

#[test]
fn a_container_without_root_gets_no_group_beyond_those_of_its_gpus() {
    let Some(host) = host() else { return };
    let spec = Spec::docker()
        .user(1000, 1000)
        .env(TWO_GPUS)
        .args(&["id", "-G"]);
    let bundle = Bundle::new(&host, "c", spec);
    assert_eq!(
        Runtime::under_test(&host).run(&bundle).ok(),
        "1000 44 109\n"
    );
}

#[test]
fn a_gpu_node_that_the_spec_has_already_is_not_in_the_way() {
    let Some(host) = host() else { return };
    let spec = Spec::docker()
        .env(TWO_GPUS)
        .device("/dev/kfd", 511, 0)
        .device_rule(true, Some(511), Some(0));
    let seen = look(&host, spec, "gpus");
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(Seen::allowed), "{seen:#?}");
}

#[test]
fn a_root_filesystem_that_keeps_its_nodes_can_be_used_again() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    // Without a mount at /dev, nodes are made in the root filesystem, and stay.
    let spec = Spec::minimal().env(TWO_GPUS).sh(&format!("{SHELL}gpus"));
    let bundle = Bundle::new(&host, "c", spec);
    for _ in 0..2 {
        let seen = probe::parse(&runtime.run(&bundle).ok());
        assert_eq!(listing(&seen), nodes(&[0, 1]));
        assert!(seen.iter().all(Seen::allowed), "{seen:#?}");
    }
}

#[test]
fn each_container_has_its_own_gpus() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    for gpu in ["3", "5"] {
        let spec = sleeper(Spec::docker().env(&format!("AMD_VISIBLE_DEVICES={gpu}")));
        runtime.up(&Bundle::new(&host, gpu, spec));
    }
    assert_eq!(listing(&look_in(&runtime, "3", "gpus")), nodes(&[3]));
    assert_eq!(listing(&look_in(&runtime, "5", "gpus")), nodes(&[5]));
}

#[test]
fn an_executed_process_has_the_containers_gpus_and_no_other() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(
        &host,
        "c",
        sleeper(Spec::docker().env(TWO_GPUS)),
    ));
    assert_opens_gpus_0_and_1_alone(&runtime, "c");
}

#[test]
fn an_executed_process_without_root_can_open_the_gpus() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = sleeper(Spec::docker().user(1000, 1000).env(TWO_GPUS));
    runtime.up(&Bundle::new(&host, "c", spec));
    let script = format!("{SHELL}gpus");
    let seen = runtime
        .call(&["exec", "--user", "1000:1000", "c", "sh", "-c", &script])
        .ok();
    let seen = probe::parse(&seen);
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(Seen::allowed), "{seen:#?}");
}

#[test]
fn gpus_survive_an_update() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(
        &host,
        "c",
        sleeper(Spec::docker().env(TWO_GPUS)),
    ));
    let controllers = host.inside(|| fs::read_to_string("/sys/fs/cgroup/cgroup.controllers"));
    let has_memory = match controllers.unwrap() {
        Ok(controllers) => controllers.contains("memory"),
        Err(_) => true,
    };
    if has_memory {
        runtime.call(&["update", "--memory", "67108864", "c"]).ok();
    }
    let nothing = "/run/bundles/nothing.json";
    host.inside(|| fs::write(nothing, "{}")).unwrap().unwrap();
    runtime.call(&["update", "--resources", nothing, "c"]).ok();
    assert_opens_gpus_0_and_1_alone(&runtime, "c");
}

#[test]
fn gpus_survive_a_pause() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(
        &host,
        "c",
        sleeper(Spec::docker().env(TWO_GPUS)),
    ));
    runtime.call(&["pause", "c"]).ok();
    assert_eq!(runtime.state("c")["status"], "paused");
    runtime.call(&["resume", "c"]).ok();
    assert_opens_gpus_0_and_1_alone(&runtime, "c");
}

#[test]
fn standard_devices_work() {
    let Some(host) = host() else { return };
    let script = "look /dev/null /dev/zero /dev/full /dev/random /dev/urandom";
    let seen = look(&host, Spec::docker().env(TWO_GPUS), script);
    let access: BTreeMap<&str, bool> = seen
        .iter()
        .map(|node| (node.path.as_str(), node.read == Access::Open))
        .collect();
    let all = [
        "/dev/null",
        "/dev/zero",
        "/dev/full",
        "/dev/random",
        "/dev/urandom",
    ];
    assert_eq!(access, all.into_iter().map(|path| (path, true)).collect());
}
