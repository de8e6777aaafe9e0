use serde_json::{Value, json};

use super::*;

fn try_plan(
    resources: Value,
    files: &[(&'static str, &'static str)],
) -> Result<Vec<String>, String> {
    let resources: Resources = serde_json::from_value(resources).unwrap();
    let files: BTreeMap<_, _> = files.iter().copied().collect();
    let text = |w: Write| format!("{} = {}", w.file, w.value);
    plan(&resources, &files)
        .map(|plan| plan.into_iter().flat_map(|g| g.writes).map(text).collect())
        .map_err(|err| err.to_string())
}

#[test]
fn swap_is_a_limit_of_its_own() {
    let file = |max, swap| vec![("memory.max", max), ("memory.swap.max", swap)];
    let none = vec![];
    for (memory, files, expected) in [
        (
            json!({"limit": 30, "swap": 50}),
            &none,
            vec!["memory.swap.max = 20", "memory.max = 30"],
        ),
        (
            json!({"limit": 30, "swap": 30}),
            &none,
            vec!["memory.swap.max = 0", "memory.max = 30"],
        ),
        (
            json!({"limit": -1}),
            &none,
            vec!["memory.swap.max = max", "memory.max = max"],
        ),
        (
            json!({"limit": -1, "swap": 5}),
            &none,
            vec!["memory.swap.max = 5", "memory.max = max"],
        ),
        (json!({"swap": -1}), &none, vec!["memory.swap.max = max"]),
        // The other one is as it was, or the sum of both.
        (
            json!({"swap": 50}),
            &file("30", "max"),
            vec!["memory.swap.max = 20"],
        ),
        (
            json!({"limit": 40}),
            &file("30", "20"),
            vec!["memory.swap.max = 10", "memory.max = 40"],
        ),
        (
            json!({"limit": 40}),
            &file("30", "max"),
            vec!["memory.max = 40"],
        ),
        (json!({"reservation": -1}), &none, vec!["memory.low = max"]),
    ] {
        assert_eq!(
            try_plan(json!({"memory": memory}), files).unwrap(),
            expected,
            "{memory}"
        );
    }
    for (memory, files, words) in [
        (
            json!({"swap": 5}),
            &none,
            "unable to set swap limit without memory limit",
        ),
        (
            json!({"swap": 5}),
            &file("max", "max"),
            "unable to set swap limit without memory limit",
        ),
        (
            json!({"limit": 9, "swap": 5}),
            &none,
            "memory+swap limit should be >= memory limit",
        ),
        (
            json!({"limit": 90}),
            &file("30", "20"),
            "memory+swap limit should be >= memory limit",
        ),
        (
            json!({"limit": -5, "swap": 5}),
            &none,
            "invalid memory value: -5",
        ),
    ] {
        assert_eq!(
            try_plan(json!({"memory": memory}), files).unwrap_err(),
            words
        );
    }
}

#[test]
fn a_limit_below_the_usage_is_refused_where_that_is_asked_for() {
    let files = [("memory.current", "100")];
    let of = |memory: Value| try_plan(json!({"memory": memory}), &files);
    let refused = of(json!({"limit": 50, "checkBeforeUpdate": true})).unwrap_err();
    assert_eq!(refused, "rejecting memory limit 50 <= usage 100");
    let refused = of(json!({"limit": 50, "swap": 60, "checkBeforeUpdate": true}));
    assert_eq!(
        refused.unwrap_err(),
        "rejecting memory+swap limit 60 <= usage 100"
    );
    assert!(of(json!({"limit": 50})).is_ok());
    assert!(of(json!({"limit": 101, "checkBeforeUpdate": true})).is_ok());
}

#[test]
fn quota_and_period_are_one_value() {
    let now = [("cpu.max", "500000 1000000")];
    for (cpu, files, expected) in [
        (json!({"quota": 5, "period": 9}), &now[..], "cpu.max = 5 9"),
        (json!({"quota": 5}), &now, "cpu.max = 5 1000000"),
        (json!({"period": 9}), &now, "cpu.max = 500000 9"),
        (json!({"quota": -1}), &now, "cpu.max = max 1000000"),
        (json!({"quota": 5}), &[], "cpu.max = 5 100000"),
        (json!({"period": 9}), &[], "cpu.max = max 9"),
    ] {
        assert_eq!(try_plan(json!({"cpu": cpu}), files).unwrap(), [expected]);
    }
}

#[test]
fn shares_are_weights_as_runc_converts_them() {
    // From the table in the documentation of runc 1.3.2.
    for (shares, weight) in [
        (2, 1),
        (3, 2),
        (1024, 100),
        (262_144, 10_000),
        (u64::MAX, 10_000),
    ] {
        assert_eq!(weight_of_shares(shares), weight, "{shares}");
    }
    assert!(weight_of_shares(2048) > weight_of_shares(1024));
}

#[test]
fn every_limit_has_a_file() {
    let all = json!({
        "cpu": {"shares": 1024, "burst": 0, "cpus": "0", "mems": "1", "idle": 0},
        "pids": {"limit": -1},
        "blockIO": {"weight": 750, "weightDevice": [{"major": 8, "minor": 1, "weight": 10}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 0}]},
        "hugepageLimits": [{"pagesize": "2MB", "limit": 0}],
        "rdma": {"mlx5_0": {"hcaObjects": 4}},
        "unified": {"memory.high": "5", "io.max": "8:0 riops=3\n8:16 riops=4\n"},
    });
    let files = [("cgroup.controllers", "cpu io memory")];
    assert_eq!(
        try_plan(all, &files).unwrap(),
        [
            "pids.max = max",
            "io.weight = 7475",
            "io.weight = 8:1 1",
            "io.max = 8:0 rbps=1",
            "io.max = 8:0 wiops=max",
            "cpu.idle = 0",
            "cpu.weight = 100",
            "cpu.max.burst = 0",
            "cpuset.cpus = 0",
            "cpuset.mems = 1",
            "hugetlb.2MB.max = 0",
            "hugetlb.2MB.rsvd.max = 0",
            "rdma.max = mlx5_0 hca_object=4",
            "io.max = 8:0 riops=3",
            "io.max = 8:16 riops=4",
            "memory.high = 5",
        ]
    );
}

#[test]
fn bfq_has_a_file_and_a_scale_of_its_own() {
    let io = json!({"blockIO": {"weight": 333,
        "weightDevice": [{"major": 7, "minor": 0, "weight": 444}]}});
    let files = [("io.bfq.weight", "default 100")];
    assert_eq!(
        try_plan(io, &files).unwrap(),
        ["io.bfq.weight = 333", "io.bfq.weight = 7:0 444"]
    );
}

#[test]
fn unified_names_files_of_controllers_that_are_there() {
    let files = [("cgroup.controllers", "memory")];
    for (file, words) in [
        ("memory/max", "must be a file name (no slashes)"),
        ("memory", "must be in the form CONTROLLER.PARAMETER"),
        ("cpu.max", "can't be set: controller \"cpu\" not available"),
    ] {
        let err = try_plan(json!({"unified": {file: "1"}}), &files).unwrap_err();
        assert!(err.contains(words), "{err}");
    }
}

#[test]
fn what_v2_has_no_limit_for_is_named() {
    let resources = json!({
        "memory": {"swappiness": 0, "disableOOMKiller": true},
        "cpu": {"realtimeRuntime": 1, "realtimePeriod": 0}, "network": {"classID": 1},
    });
    let resources: Resources = serde_json::from_value(resources).unwrap();
    assert_eq!(
        without_meaning(&resources),
        [
            "memory.swappiness",
            "memory.disableOOMKiller",
            "cpu.realtimeRuntime",
            "network.classID"
        ]
    );
}
