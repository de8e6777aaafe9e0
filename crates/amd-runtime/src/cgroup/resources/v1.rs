//! Limits as cgroup v1 has them (Linux, Documentation/admin-guide/cgroup-v1).

use super::plan::{Before, Group, Write, check_weights, cpuset, push, rdma};
use super::types::{BlockIo, Cpu, Memory, Network, ThrottleDevice, set};
use super::{HugepageLimit, LimitError, Resources};
use crate::cgroup::files::Files;

const LIMIT: &str = "memory.limit_in_bytes";
const SWAP: &str = "memory.memsw.limit_in_bytes";

/// What is named and v1 has no limit for.
pub fn without_meaning(_: &Resources) -> Vec<&'static str> {
    Vec::new()
}

/// What to write, in which order, with runc's order of controllers.
pub fn plan(resources: &Resources, files: &impl Files) -> Result<Vec<Group>, LimitError> {
    if resources.unified.as_ref().is_some_and(|u| !u.is_empty()) {
        return Err(LimitError::Invalid(
            "invalid configuration: cannot use unified on cgroup v1".into(),
        ));
    }
    let mut plan = Vec::new();
    if let Some(cpu) = &resources.cpu {
        push(&mut plan, "cpuset", cpuset(cpu));
    }
    if let Some(limits) = &resources.memory {
        push(&mut plan, "memory", memory(limits, files)?);
    }
    if let Some(limits) = &resources.cpu {
        push(&mut plan, "cpu", cpu(limits));
    }
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        push(
            &mut plan,
            "pids",
            vec![Write::new("pids.max", pids_max(limit))],
        );
    }
    if let Some(limits) = &resources.block_io {
        push(&mut plan, "blkio", block_io(limits, files)?);
    }
    let hugepages = resources.hugepage_limits.as_deref().unwrap_or_default();
    push(&mut plan, "hugetlb", hugetlb(hugepages, "limit_in_bytes"));
    if let Some(marks) = &resources.network {
        network(&mut plan, marks);
    }
    push(&mut plan, "rdma", rdma(resources.rdma.as_ref()));
    Ok(plan)
}

fn memory(memory: &Memory, files: &impl Files) -> Result<Vec<Write>, LimitError> {
    let limit = set(memory.limit);
    let mut swap = set(memory.swap);
    // No limit of memory is none of memory and swap, where that is accounted for.
    if limit == Some(-1) && swap.is_none() && files.has(SWAP) {
        swap = Some(-1);
    }
    let mut writes = Vec::new();
    let of = |file: &str, value: Option<i64>| value.map(|value| Write::new(file, value));
    writes.extend(of(LIMIT, limit));
    writes.extend(of(SWAP, swap));
    // The limit of memory and swap may at no time be below that of memory.
    let current = files.read(LIMIT).and_then(|text| text.parse::<u64>().ok());
    let rises = |swap: i64| swap == -1 || current.is_none_or(|current| current < swap as u64);
    if limit.is_some() && swap.is_some_and(rises) {
        writes.reverse();
    }
    writes.extend(of("memory.soft_limit_in_bytes", set(memory.reservation)));
    if memory.disable_oom_killer == Some(true) {
        writes.push(Write::new("memory.oom_control", 1).before(Before::Unknown));
    }
    match memory.swappiness {
        Some(value @ 0..=100) => writes.push(Write::new("memory.swappiness", value)),
        Some(value) => {
            return Err(LimitError::Invalid(format!(
                "invalid memory swappiness value: {value} (valid range is 0-100)"
            )));
        }
        None => {}
    }
    Ok(writes)
}

fn cpu(cpu: &Cpu) -> Vec<Write> {
    let quota = set(cpu.quota);
    let runtime = set(cpu.realtime_runtime);
    let mut writes = Vec::new();
    if let Some(shares) = set(cpu.shares) {
        writes.push(Write::new("cpu.shares", shares).exact());
    }
    // Period and burst can be too small or too large for the quota of before.
    if let Some(period) = set(cpu.period) {
        writes.push(Write::new("cpu.cfs_period_us", period).again_if(quota.is_some()));
    }
    if let Some(burst) = cpu.burst {
        writes.push(Write::new("cpu.cfs_burst_us", burst).again_if(quota.is_some()));
    }
    if let Some(quota) = quota {
        writes.push(Write::new("cpu.cfs_quota_us", quota));
    }
    if let Some(idle) = cpu.idle {
        writes.push(Write::new("cpu.idle", idle));
    }
    if let Some(period) = set(cpu.realtime_period) {
        writes.push(Write::new("cpu.rt_period_us", period).again_if(runtime.is_some()));
    }
    if let Some(runtime) = runtime {
        writes.push(Write::new("cpu.rt_runtime_us", runtime));
    }
    writes
}

/// The text of `pids.max`, on v1 and v2; systemd has no limit of 0, and neither has runc.
pub fn pids_max(limit: i64) -> String {
    match limit {
        0 => "1".into(),
        1.. => limit.to_string(),
        _ => "max".into(),
    }
}

fn block_io(io: &BlockIo, files: &impl Files) -> Result<Vec<Write>, LimitError> {
    let devices = io.weight_device.as_deref().unwrap_or_default();
    check_weights(io.weight, devices)?;
    check_weights(io.leaf_weight, &[])?;
    // The scheduler CFQ was removed in Linux 5.0; BFQ has files of its own.
    let (weight_file, device_file) = if files.has("blkio.weight") {
        ("blkio.weight", "blkio.weight_device")
    } else {
        ("blkio.bfq.weight", "blkio.bfq.weight_device")
    };
    let mut writes = Vec::new();
    let mut weights = |file: &str, weight: Option<u16>| {
        writes.extend(set(weight).map(|weight| Write::new(file, weight)));
    };
    weights(weight_file, io.weight);
    weights("blkio.leaf_weight", io.leaf_weight);
    for device in devices {
        let key = format!("{}:{}", device.major, device.minor);
        for (file, weight) in [
            (device_file, device.weight),
            ("blkio.leaf_weight_device", device.leaf_weight),
        ] {
            if let Some(weight) = set(weight) {
                writes.push(Write::line(file, &key, &weight.to_string(), "0"));
            }
        }
    }
    for (file, devices) in [
        (
            "blkio.throttle.read_bps_device",
            &io.throttle_read_bps_device,
        ),
        (
            "blkio.throttle.write_bps_device",
            &io.throttle_write_bps_device,
        ),
        (
            "blkio.throttle.read_iops_device",
            &io.throttle_read_iops_device,
        ),
        (
            "blkio.throttle.write_iops_device",
            &io.throttle_write_iops_device,
        ),
    ] {
        let write = |device: &ThrottleDevice| {
            let key = format!("{}:{}", device.major, device.minor);
            Write::line(file, &key, &device.rate.to_string(), "0")
        };
        writes.extend(devices.iter().flatten().map(write));
    }
    Ok(writes)
}

/// Huge pages in use and, where the kernel accounts for them (5.7), reserved ones; `suffix` is
/// what the limit is called on this version of cgroups.
pub fn hugetlb(limits: &[HugepageLimit], suffix: &str) -> Vec<Write> {
    let writes = |limit: &HugepageLimit| {
        let file = |kind: &str| format!("hugetlb.{}{kind}.{suffix}", limit.page_size);
        [
            Write::new(file(""), limit.limit),
            Write::new(file(".rsvd"), limit.limit).optional(),
        ]
    };
    limits.iter().flat_map(writes).collect()
}

fn network(plan: &mut Vec<Group>, network: &Network) {
    let class = set(network.class_id).map(|class| Write::new("net_cls.classid", class));
    push(plan, "net_cls", class.into_iter().collect());
    let priorities = network.priorities.iter().flatten();
    let write = |p: &super::InterfacePriority| {
        Write::line("net_prio.ifpriomap", &p.name, &p.priority.to_string(), "0")
    };
    push(plan, "net_prio", priorities.map(write).collect());
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;

    fn writes(resources: Value, files: &[(&'static str, &'static str)]) -> Vec<String> {
        let resources: Resources = serde_json::from_value(resources).unwrap();
        let files: BTreeMap<_, _> = files.iter().copied().collect();
        let plan = plan(&resources, &files).unwrap();
        let of = |group: Group| {
            let text = |w: Write| format!("{}/{} = {}", group.controller, w.file, w.value);
            group.writes.into_iter().map(text).collect::<Vec<_>>()
        };
        plan.into_iter().flat_map(of).collect()
    }

    #[test]
    fn memory_and_swap_never_cross() {
        let rising = json!({"memory": {"limit": 60, "swap": 80}});
        let falling = json!({"memory": {"limit": 30, "swap": 50}});
        let limit = |text| [(LIMIT, text)];
        assert_eq!(
            writes(rising, &limit("40")),
            [
                "memory/memory.memsw.limit_in_bytes = 80",
                "memory/memory.limit_in_bytes = 60"
            ]
        );
        assert_eq!(
            writes(falling, &limit("60")),
            [
                "memory/memory.limit_in_bytes = 30",
                "memory/memory.memsw.limit_in_bytes = 50"
            ]
        );
    }

    #[test]
    fn no_limit_of_memory_is_none_of_swap() {
        let unlimited = json!({"memory": {"limit": -1}});
        assert_eq!(
            writes(unlimited.clone(), &[(SWAP, "5"), (LIMIT, "5")]),
            [
                "memory/memory.memsw.limit_in_bytes = -1",
                "memory/memory.limit_in_bytes = -1"
            ]
        );
        assert_eq!(
            writes(unlimited, &[(LIMIT, "5")]),
            ["memory/memory.limit_in_bytes = -1"]
        );
    }

    #[test]
    fn every_limit_has_a_file() {
        let all = json!({
            "memory": {"reservation": 5, "swappiness": 0, "disableOOMKiller": true},
            "cpu": {"shares": 2, "quota": 3, "burst": 0, "period": 4, "realtimeRuntime": 5,
                "realtimePeriod": 6, "cpus": "0", "mems": "1", "idle": 0},
            "pids": {"limit": 0},
            "blockIO": {"weight": 10, "weightDevice": [{"major": 8, "minor": 1, "weight": 20}],
                "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1}],
                "throttleWriteBpsDevice": [{"major": 8, "minor": 0, "rate": 2}],
                "throttleReadIOPSDevice": [{"major": 8, "minor": 0, "rate": 3}],
                "throttleWriteIOPSDevice": [{"major": 8, "minor": 0, "rate": 4}]},
            "hugepageLimits": [{"pageSize": "2MB", "limit": 7}],
            "network": {"classID": 9, "priorities": [{"name": "lo", "priority": 3}]},
            "rdma": {"mlx5_0": {"hcaHandles": 3, "hcaObjects": 4}},
        });
        assert_eq!(
            writes(all, &[]),
            [
                "cpuset/cpuset.cpus = 0",
                "cpuset/cpuset.mems = 1",
                "memory/memory.soft_limit_in_bytes = 5",
                "memory/memory.oom_control = 1",
                "memory/memory.swappiness = 0",
                "cpu/cpu.shares = 2",
                "cpu/cpu.cfs_period_us = 4",
                "cpu/cpu.cfs_burst_us = 0",
                "cpu/cpu.cfs_quota_us = 3",
                "cpu/cpu.idle = 0",
                "cpu/cpu.rt_period_us = 6",
                "cpu/cpu.rt_runtime_us = 5",
                "pids/pids.max = 1",
                "blkio/blkio.bfq.weight = 10",
                "blkio/blkio.bfq.weight_device = 8:1 20",
                "blkio/blkio.throttle.read_bps_device = 8:0 1",
                "blkio/blkio.throttle.write_bps_device = 8:0 2",
                "blkio/blkio.throttle.read_iops_device = 8:0 3",
                "blkio/blkio.throttle.write_iops_device = 8:0 4",
                "hugetlb/hugetlb.2MB.limit_in_bytes = 7",
                "hugetlb/hugetlb.2MB.rsvd.limit_in_bytes = 7",
                "net_cls/net_cls.classid = 9",
                "net_prio/net_prio.ifpriomap = lo 3",
                "rdma/rdma.max = mlx5_0 hca_handle=3 hca_object=4",
            ]
        );
    }

    #[test]
    fn zero_is_no_limit() {
        let zeros = json!({
            "memory": {"limit": 0, "reservation": 0, "swap": 0, "disableOOMKiller": false},
            "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": null},
            "pids": {}, "blockIO": {"weight": 0}, "network": {"classID": 0},
        });
        assert_eq!(writes(zeros, &[(LIMIT, "5")]), [""; 0]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for (resources, words) in [
            (
                json!({"unified": {"memory.max": "5"}}),
                "cannot use unified on cgroup v1",
            ),
            (
                json!({"memory": {"swappiness": 101}}),
                "invalid memory swappiness value: 101",
            ),
            (
                json!({"blockIO": {"weight": 9}}),
                "blockIO weight 9 is out of range",
            ),
        ] {
            let resources: Resources = serde_json::from_value(resources).unwrap();
            let err = plan(&resources, &BTreeMap::new()).unwrap_err().to_string();
            assert!(err.contains(words), "{err}");
        }
    }
}
