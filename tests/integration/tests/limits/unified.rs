//! Limits on a machine whose controllers are those of cgroup v2, as runc converts them.

use integration::bundle::Bundle;
use integration::runtime::Runtime;
use integration::{mi300x, require};
use serde_json::json;

use crate::fixture::{ID, block_device, sleeper, update, update_from_file, value};

fn host() -> Option<integration::host::SimulatedHost> {
    require::host_with_unified_controllers(mi300x::PRESET)
}

#[test]
fn limits_of_the_spec_are_set() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = sleeper()
        .set(
            "/linux/resources/memory",
            json!({"limit": 32 << 20, "reservation": 16 << 20, "swap": 80 << 20}),
        )
        .set(
            "/linux/resources/cpu",
            json!({
                "shares": 512, "quota": 50_000, "period": 100_000, "burst": 5_000, "cpus": "0",
            }),
        )
        .set("/linux/resources/pids", json!({"limit": 20}))
        .set(
            "/linux/resources/unified",
            json!({"memory.high": "20971520"}),
        );
    runtime.create(&Bundle::new(&host, ID, spec)).ok();
    for (file, expected) in [
        ("memory.max", (32 << 20).to_string()),
        ("memory.low", (16 << 20).to_string()),
        ("memory.swap.max", (48 << 20).to_string()),
        ("memory.high", (20 << 20).to_string()),
        ("cpu.weight", "59".into()),
        ("cpu.max", "50000 100000".into()),
        ("cpu.max.burst", "5000".into()),
        ("cpuset.cpus", "0".into()),
        ("pids.max", "20".into()),
    ] {
        assert_eq!(value(&host, file), expected, "{file}");
    }
}

#[test]
fn every_option_of_update_sets_its_limit() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    for (options, file, expected) in [
        ("--memory 64M --memory-swap 96M", "memory.max", "67108864"),
        ("--pids-limit -1", "memory.swap.max", "33554432"),
        // Above the limit of before, in one step; the sum of both stays.
        ("--memory 80M", "memory.swap.max", "16777216"),
        (
            "--memory 256M --memory-swap 512M",
            "memory.max",
            "268435456",
        ),
        ("--memory-swap -1", "memory.swap.max", "max"),
        ("--memory -1", "memory.max", "max"),
        ("--memory-reservation 32m", "memory.low", "33554432"),
        ("--cpu-share 2048", "cpu.weight", "174"),
        ("--cpu-quota 30000", "cpu.max", "30000 100000"),
        ("--cpu-period 50000", "cpu.max", "30000 50000"),
        ("--cpu-burst 1000", "cpu.max.burst", "1000"),
        ("--cpu-burst 0", "cpu.max.burst", "0"),
        ("--cpu-quota -1", "cpu.max", "max 50000"),
        ("--cpu-idle 1", "cpu.idle", "1"),
        ("--cpu-idle 0", "cpu.idle", "0"),
        ("--cpuset-cpus 0", "cpuset.cpus", "0"),
        ("--cpuset-mems 0", "cpuset.mems", "0"),
        ("--pids-limit 20", "pids.max", "20"),
        ("--pids-limit 0", "pids.max", "1"),
        ("--pids-limit -1", "pids.max", "max"),
    ] {
        update(&runtime, options).ok();
        assert_eq!(value(&host, file), expected, "{options}");
    }
}

#[test]
fn block_devices_are_throttled_and_a_failure_takes_it_back() {
    let Some(host) = host() else { return };
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
    let set = format!("{major}:{minor} rbps=10485760 wbps=9437184 riops=1000 wiops=900");
    assert_eq!(value(&host, "io.max"), set);
    let mut more = limits;
    more["blockIO"]["throttleReadBpsDevice"] = rate(50_000);
    more["hugepageLimits"] = json!([{"pageSize": "3MB", "limit": 1}]);
    update_from_file(&host, &runtime, &more).fails(1);
    assert_eq!(value(&host, "io.max"), set);
}

#[test]
fn an_update_that_fails_changes_nothing() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    let first = "--memory 64M --memory-swap 96M --cpu-share 300 --cpu-quota 70000 --pids-limit 20";
    update(&runtime, first).ok();
    let files = [
        "memory.max",
        "memory.swap.max",
        "memory.low",
        "cpu.weight",
        "cpu.max",
        "cpuset.cpus",
        "pids.max",
    ];
    let before = files.map(|file| value(&host, file));
    let most = "--memory 128M --memory-swap 256M --memory-reservation 32M --pids-limit 30";
    for (last, words) in [
        ("--cpu-share 400 --cpu-period 100", "cpu.max"),
        ("--cpu-share 400 --cpuset-cpus 4096", "cpuset.cpus"),
        ("--blkio-weight 9", "out of range"),
        (
            "--memory-swap 1M",
            "memory+swap limit should be >= memory limit",
        ),
    ] {
        let stderr = update(&runtime, &format!("{most} {last}")).fails(1);
        assert!(stderr.contains(words), "{stderr}");
        assert_eq!(files.map(|file| value(&host, file)), before, "{last}");
    }
}

#[test]
fn a_container_that_may_have_no_more_tasks_cannot_fork() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = sleeper()
        .set("/linux/resources/pids", json!({"limit": 3}))
        .sh("sleep 1 & sleep 1 & sleep 1 & wait");
    let output = runtime.run(&Bundle::new(&host, ID, spec));
    assert!(output.stderr.contains("fork"), "{output}");
}
