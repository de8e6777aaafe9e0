//! `update`: all of it, or none.

use std::fs;

use integration::bundle::Bundle;
use integration::host::Cgroups;
use integration::runtime::Runtime;
use integration::{mi300x, require};
use serde_json::json;

use crate::fixture::{ID, block_device, host, sleeper, update, update_from_file, value};

#[test]
fn every_option_sets_its_limit() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    for (options, file, expected) in [
        ("--memory 64M", "memory.limit_in_bytes", "67108864"),
        (
            "--memory 64M --memory-swap 128M",
            "memory.memsw.limit_in_bytes",
            "134217728",
        ),
        // Above the limit of before, in one step.
        (
            "--memory 256M --memory-swap 512M",
            "memory.limit_in_bytes",
            "268435456",
        ),
        (
            "--memory -1",
            "memory.memsw.limit_in_bytes",
            "9223372036854771712",
        ),
        (
            "--memory-reservation 32m",
            "memory.soft_limit_in_bytes",
            "33554432",
        ),
        ("--cpu-share 512", "cpu.shares", "512"),
        ("--cpu-quota 30000", "cpu.cfs_quota_us", "30000"),
        ("--cpu-period 50000", "cpu.cfs_period_us", "50000"),
        ("--cpu-burst 1000", "cpu.cfs_burst_us", "1000"),
        ("--cpu-burst 0", "cpu.cfs_burst_us", "0"),
        ("--cpu-quota -1", "cpu.cfs_quota_us", "-1"),
        ("--cpu-idle 1", "cpu.idle", "1"),
        ("--cpu-idle 0", "cpu.idle", "0"),
        ("--cpuset-cpus 0", "cpuset.cpus", "0"),
        ("--cpuset-mems 0", "cpuset.mems", "0"),
        ("--pids-limit 20", "pids.max", "20"),
        ("--pids-limit 0", "pids.max", "1"),
        ("--pids-limit -1", "pids.max", "max"),
        ("--kernel-memory 5 --pids-limit 7", "pids.max", "7"),
    ] {
        update(&runtime, options).ok();
        assert_eq!(value(&host, file), expected, "{options}");
    }
}

#[test]
fn quota_and_period_are_set_whatever_the_cgroup_above_allows_of_one_alone() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    let pod = format!("/sys/fs/cgroup/cpu{}/cpu.cfs_quota_us", host.cgroup());
    host.inside(|| fs::write(&pod, "50000")).unwrap().unwrap();
    update(&runtime, "--cpu-quota 60000").fails(1);
    // A period of 10000 alone would be a share of all of a CPU.
    update(&runtime, "--cpu-quota 30000").ok();
    update(&runtime, "--cpu-quota 3000 --cpu-period 10000").ok();
    assert_eq!(value(&host, "cpu.cfs_period_us"), "10000");
    host.inside(|| fs::write(&pod, "-1")).unwrap().unwrap();
}

#[test]
fn block_devices_are_throttled_one_by_one() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let Some((major, minor)) = block_device() else {
        println!("skipped: needs a block device");
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    let rate = |rate: u64| json!([{"major": major, "minor": minor, "rate": rate}]);
    let limits = json!({"blockIO": {
        "throttleReadBpsDevice": rate(10_485_760), "throttleWriteBpsDevice": rate(9_437_184),
        "throttleReadIOPSDevice": rate(1000), "throttleWriteIOPSDevice": rate(900),
    }});
    update_from_file(&host, &runtime, &limits).ok();
    for (file, rate) in [
        ("blkio.throttle.read_bps_device", 10_485_760),
        ("blkio.throttle.write_bps_device", 9_437_184),
        ("blkio.throttle.read_iops_device", 1000),
        ("blkio.throttle.write_iops_device", 900),
    ] {
        assert_eq!(
            value(&host, file),
            format!("{major}:{minor} {rate}"),
            "{file}"
        );
    }
    // Taken back with what cannot be set.
    let mut more = limits;
    more["blockIO"]["throttleReadBpsDevice"] = rate(5);
    more["hugepageLimits"] = json!([{"pageSize": "3MB", "limit": 1}]);
    update_from_file(&host, &runtime, &more).fails(1);
    let left = value(&host, "blkio.throttle.read_bps_device");
    assert_eq!(left, format!("{major}:{minor} 10485760"));
}

#[test]
fn an_update_that_fails_changes_nothing() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    update(
        &runtime,
        "--memory 64M --memory-swap 96M --cpu-share 300 --pids-limit 20",
    )
    .ok();
    let files = [
        "memory.limit_in_bytes",
        "memory.memsw.limit_in_bytes",
        "memory.soft_limit_in_bytes",
        "cpu.shares",
        "pids.max",
        "cpuset.cpus",
    ];
    let before = files.map(|file| value(&host, file));
    let most = "--memory 128M --memory-swap 256M --memory-reservation 32M --cpuset-cpus 0";
    for (last, words) in [
        ("--cpu-share 1", "the minimum allowed cpu-shares is 2"),
        ("--cpu-share 400 --cpu-period 100", "cpu.cfs_period_us"),
        ("--pids-limit 30 --blkio-weight 9", "out of range"),
    ] {
        let stderr = update(&runtime, &format!("{most} {last}")).fails(1);
        assert!(stderr.contains(words), "{stderr}");
        assert_eq!(files.map(|file| value(&host, file)), before, "{last}");
    }
}

#[test]
fn what_cannot_be_applied_is_an_error() {
    for (cgroups, resources, words) in [
        (
            Cgroups::V1,
            json!({"unified": {"memory.max": "1"}}),
            "cannot use unified on cgroup v1",
        ),
        (
            Cgroups::V1,
            json!({"memory": {"limit": "1"}}),
            "linux.resources.memory.limit",
        ),
        (Cgroups::V1, json!({"cpu": {"cpus": "4096"}}), "cpuset.cpus"),
        (
            Cgroups::V2,
            json!({"memory": {"swappiness": 1}}),
            "cgroup v2 has no such limit",
        ),
        (
            Cgroups::V2,
            json!({"cpu": {"realtimeRuntime": 1}}),
            "cgroup v2 has no such limit",
        ),
        (
            Cgroups::V2,
            json!({"unified": {"nothing.max": "1"}}),
            "controller \"nothing\" not available",
        ),
    ] {
        let Some(host) = host(cgroups) else { continue };
        let runtime = Runtime::under_test(&host);
        runtime.up(&Bundle::new(&host, ID, sleeper()));
        let stderr = update_from_file(&host, &runtime, &resources).fails(1);
        assert!(stderr.contains(words), "{resources}: {stderr}");
    }
}

#[test]
fn a_limit_that_is_not_known_is_left_out_with_a_warning() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    let more = json!({"ramdisk": {"size": 1}, "cpu": {"shares": 77, "shards": 1}});
    let outcome = update_from_file(&host, &runtime, &more);
    for name in ["ramdisk", "cpu.shards"] {
        let words = format!("{name} is not updated: no such limit is known");
        assert!(outcome.stderr.contains(&words), "{outcome}");
    }
    outcome.ok();
    assert_eq!(value(&host, "cpu.shares"), "77");
}

#[test]
fn a_limit_of_a_controller_that_is_missing_is_an_error() {
    let Some(host) = host(Cgroups::V2) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    let controllers = value(&host, "cgroup.controllers");
    if controllers.split(' ').any(|name| name == "memory") {
        println!("skipped: needs a machine whose memory controller v1 has");
        return;
    }
    let stderr = update(&runtime, "--memory 64M").fails(1);
    let words = "cannot set memory limit: container could not join or create cgroup";
    assert!(stderr.contains(words), "{stderr}");
}

#[test]
fn schemas_of_resctrl_are_refused() {
    let Some(host) = require::host(mi300x::PRESET, Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    let stderr = update(&runtime, "--l3-cache-schema L3:0=f").fails(1);
    assert!(
        stderr.contains("l3 cache schema is not enabled"),
        "{stderr}"
    );
    let stderr = update(&runtime, "--mem-bw-schema MB:0=20").fails(1);
    assert!(
        stderr.contains("memory bandwidth schema is not enabled"),
        "{stderr}"
    );
}

#[test]
fn names_of_limits_are_taken_in_any_case() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    update_from_file(&host, &runtime, &json!({"CPU": {"Shares": 77}})).ok();
    assert_eq!(value(&host, "cpu.shares"), "77");
}

#[test]
fn a_paused_container_can_be_updated_and_stays_paused() {
    let Some(host) = require::host(mi300x::PRESET, Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    runtime.call(&["pause", ID]).ok();
    update(&runtime, "--pids-limit 30").ok();
    assert_eq!(value(&host, "pids.max"), "30");
    assert_eq!(runtime.state(ID)["status"], "paused");
    // A frozen process would outlive the host.
    runtime.call(&["resume", ID]).ok();
}

#[test]
fn a_stopped_container_cannot_be_updated() {
    let Some(host) = require::host(mi300x::PRESET, Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper().args(&["true"])));
    runtime.wait_stopped(ID);
    let stderr = update(&runtime, "--pids-limit 30").fails(1);
    assert!(stderr.contains("container not running"), "{stderr}");
}
