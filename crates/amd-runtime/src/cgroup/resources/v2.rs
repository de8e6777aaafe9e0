//! Limits as cgroup v2 has them (Linux, Documentation/admin-guide/cgroup-v2.rst). The spec is
//! written for v1; what differs is converted as runc does.

use std::collections::BTreeMap;

use super::plan::{Before, Group, Write, check_weights, cpuset, push, rdma};
use super::types::{BlockIo, Cpu, Memory, ThrottleDevice, set};
use super::v1::{hugetlb, pids_max};
use super::{LimitError, Resources};
use crate::cgroup::files::Files;

/// What is named and v2 has no limit for.
pub fn without_meaning(resources: &Resources) -> Vec<&'static str> {
    let memory = resources.memory.clone().unwrap_or_default();
    let cpu = resources.cpu.clone().unwrap_or_default();
    let io = resources.block_io.clone().unwrap_or_default();
    let network = resources.network.clone().unwrap_or_default();
    let leaf = |device: &super::WeightDevice| set(device.leaf_weight).is_some();
    [
        ("memory.swappiness", memory.swappiness.is_some()),
        (
            "memory.disableOOMKiller",
            memory.disable_oom_killer == Some(true),
        ),
        ("cpu.realtimeRuntime", set(cpu.realtime_runtime).is_some()),
        ("cpu.realtimePeriod", set(cpu.realtime_period).is_some()),
        ("blockIO.leafWeight", set(io.leaf_weight).is_some()),
        (
            "blockIO.weightDevice.leafWeight",
            io.weight_device.iter().flatten().any(leaf),
        ),
        ("network.classID", set(network.class_id).is_some()),
        (
            "network.priorities",
            network.priorities.is_some_and(|list| !list.is_empty()),
        ),
    ]
    .into_iter()
    .filter_map(|(field, named)| named.then_some(field))
    .collect()
}

/// What to write, in which order, with runc's order of controllers; `unified` comes last, since it
/// has precedence.
pub fn plan(resources: &Resources, files: &impl Files) -> Result<Vec<Group>, LimitError> {
    let mut plan = Vec::new();
    if let Some(limit) = resources.pids.as_ref().and_then(|pids| pids.limit) {
        push(
            &mut plan,
            "pids",
            vec![Write::new("pids.max", pids_max(limit))],
        );
    }
    if let Some(limits) = &resources.memory {
        push(&mut plan, "memory", memory(limits, files)?);
    }
    if let Some(limits) = &resources.block_io {
        push(&mut plan, "io", block_io(limits, files)?);
    }
    if let Some(limits) = &resources.cpu {
        push(&mut plan, "cpu", cpu(limits, files));
        push(&mut plan, "cpuset", cpuset(limits));
    }
    let hugepages = resources.hugepage_limits.as_deref().unwrap_or_default();
    push(&mut plan, "hugetlb", hugetlb(hugepages, "max"));
    push(&mut plan, "rdma", rdma(resources.rdma.as_ref()));
    if let Some(values) = &resources.unified {
        push(&mut plan, "unified", unified(values, files)?);
    }
    Ok(plan)
}

/// A limit in bytes as v2 writes it.
fn max_or(bytes: i64) -> String {
    if bytes == -1 {
        "max".into()
    } else {
        bytes.to_string()
    }
}

fn memory(memory: &Memory, files: &impl Files) -> Result<Vec<Write>, LimitError> {
    let limit = set(memory.limit);
    let swap = set(memory.swap);
    if memory.check_before_update == Some(true) {
        check_usage(limit, swap, files)?;
    }
    let mut writes = Vec::new();
    if let Some(swap) = swap_max(limit, swap, files)? {
        let mut write = Write::new("memory.swap.max", max_or(swap));
        // Without swap there is nothing to allow or to refuse.
        write.optional = matches!(swap, -1 | 0);
        writes.push(write);
    }
    if let Some(limit) = limit {
        writes.push(Write::new("memory.max", max_or(limit)));
    }
    if let Some(reservation) = set(memory.reservation) {
        writes.push(Write::new("memory.low", max_or(reservation)));
    }
    Ok(writes)
}

/// A cgroup of which nothing is known.
struct Unread;

impl Files for Unread {
    fn read(&self, _: &str) -> Option<String> {
        None
    }
}

/// As [`swap_max`], by what is named alone.
pub fn swap_alone(memory: &Memory) -> Option<i64> {
    swap_max(set(memory.limit), set(memory.swap), &Unread)
        .ok()
        .flatten()
}

/// The limit of swap alone: the spec has that of memory and swap together. `None` where it stays.
fn swap_max(
    limit: Option<i64>,
    swap: Option<i64>,
    files: &impl Files,
) -> Result<Option<i64>, LimitError> {
    let current = |file: &str| match files.read(file)?.as_str() {
        "max" => Some(-1),
        text => text.parse::<i64>().ok(),
    };
    let invalid = |words: &str| Err(LimitError::Invalid(words.to_owned()));
    // An update of one of the two leaves the sum of both, or the other, as it was.
    let (limit, total) = match (limit, swap) {
        (None, None) => return Ok(None),
        (Some(-1), None) => return Ok(Some(-1)),
        (_, Some(-1)) => return Ok(Some(-1)),
        (Some(limit), Some(total)) => (limit, total),
        // Of a cgroup without a limit of memory runc knows none to subtract, either.
        (None, Some(total)) => match current("memory.max") {
            Some(limit @ 0..) => (limit, total),
            _ => return invalid("unable to set swap limit without memory limit"),
        },
        (Some(limit), None) => match (current("memory.max"), current("memory.swap.max")) {
            (Some(old @ 0..), Some(swap @ 0..)) => (limit, old.saturating_add(swap)),
            _ => return Ok(None),
        },
    };
    match limit {
        -1 if swap.is_some() => Ok(Some(total)),
        ..0 => invalid(&format!("invalid memory value: {limit}")),
        _ if total < limit => invalid("memory+swap limit should be >= memory limit"),
        _ => Ok(Some(total - limit)),
    }
}

/// Refuses limits that would make the kernel kill at once. A usage that cannot be read is no reason
/// to refuse.
fn check_usage(
    limit: Option<i64>,
    swap: Option<i64>,
    files: &impl Files,
) -> Result<(), LimitError> {
    let usage = files
        .read("memory.current")
        .and_then(|text| text.parse::<i64>().ok());
    let Some(usage) = usage else { return Ok(()) };
    for (what, limit) in [("memory+swap", swap), ("memory", limit)] {
        if let Some(limit @ 1..) = limit
            && limit <= usage
        {
            return Err(LimitError::Invalid(format!(
                "rejecting {what} limit {limit} <= usage {usage}"
            )));
        }
    }
    Ok(())
}

fn cpu(cpu: &Cpu, files: &impl Files) -> Vec<Write> {
    let (quota, period) = (set(cpu.quota), set(cpu.period));
    let mut writes = Vec::new();
    if let Some(idle) = cpu.idle {
        writes.push(Write::new("cpu.idle", idle));
    }
    if let Some(shares) = set(cpu.shares) {
        writes.push(Write::new("cpu.weight", weight_of_shares(shares)));
    }
    if let Some(burst) = cpu.burst {
        writes.push(Write::new("cpu.max.burst", burst).again_if(quota.is_some()));
    }
    if quota.is_some() || period.is_some() {
        writes.push(Write::new(
            "cpu.max",
            cpu_max(quota, period, files.read("cpu.max")),
        ));
    }
    writes
}

/// `QUOTA PERIOD`, with the one that is not named as it is now.
fn cpu_max(quota: Option<i64>, period: Option<u64>, current: Option<String>) -> String {
    let current = current.unwrap_or_default();
    let (old_quota, old_period) = current.split_once(' ').unwrap_or(("max", "100000"));
    let quota = match quota {
        Some(quota @ 1..) => quota.to_string(),
        Some(_) => "max".into(),
        None => old_quota.to_owned(),
    };
    let period = period.map_or_else(|| old_period.to_owned(), |period| period.to_string());
    format!("{quota} {period}")
}

/// Shares (2 to 262144, 1024 unless set) as a weight (1 to 10000, 100 unless set): runc's quadratic
/// function through these three points, since runc 1.3.2.
pub fn weight_of_shares(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        262_144.. => 10_000,
        _ => {
            let log = (shares as f64).log2();
            let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
            10_f64.powf(exponent).ceil() as u64
        }
    }
}

fn block_io(io: &BlockIo, files: &impl Files) -> Result<Vec<Write>, LimitError> {
    let devices = io.weight_device.as_deref().unwrap_or_default();
    check_weights(io.weight, devices)?;
    // BFQ takes weights as the spec has them, 10 to 1000; `io.weight` is 1 to 10000.
    let bfq = files.has("io.bfq.weight");
    let (file, scaled): (_, fn(u16) -> u64) = if bfq {
        ("io.bfq.weight", u64::from)
    } else {
        ("io.weight", |weight| {
            1 + (u64::from(weight) - 10) * 9999 / 990
        })
    };
    let mut writes = Vec::new();
    if let Some(weight) = set(io.weight) {
        let before = Before::Line {
            key: "default".into(),
            unset: "default 100".into(),
        };
        writes.push(Write::new(file, scaled(weight)).before(before));
    }
    for device in devices {
        if let Some(weight) = set(device.weight) {
            let key = format!("{}:{}", device.major, device.minor);
            writes.push(Write::line(
                file,
                &key,
                &scaled(weight).to_string(),
                "default",
            ));
        }
    }
    for (key, devices) in [
        ("rbps", &io.throttle_read_bps_device),
        ("wbps", &io.throttle_write_bps_device),
        ("riops", &io.throttle_read_iops_device),
        ("wiops", &io.throttle_write_iops_device),
    ] {
        let write = |device: &ThrottleDevice| {
            let node = format!("{}:{}", device.major, device.minor);
            // 0 is no limit on v1, and refused here.
            let rate = match device.rate {
                0 => "max".into(),
                rate => rate.to_string(),
            };
            let unset = "rbps=max wbps=max riops=max wiops=max";
            Write::line("io.max", &node, &format!("{key}={rate}"), unset)
        };
        writes.extend(devices.iter().flatten().map(write));
    }
    Ok(writes)
}

/// Files by name, lines of a value one by one, as some files take one line a write.
fn unified(
    values: &BTreeMap<String, String>,
    files: &impl Files,
) -> Result<Vec<Write>, LimitError> {
    let controllers = files.read("cgroup.controllers").unwrap_or_default();
    let mut writes = Vec::new();
    for (file, value) in values {
        let invalid = |words: String| Err(LimitError::Invalid(words));
        if file.contains('/') {
            return invalid(format!(
                "unified resource {file:?} must be a file name (no slashes)"
            ));
        }
        let Some((controller, _)) = file.split_once('.') else {
            return invalid(format!(
                "unified resource {file:?} must be in the form CONTROLLER.PARAMETER"
            ));
        };
        let available = controllers.split(' ').any(|name| name == controller);
        if !available && controller != "cgroup" && !files.has(file) {
            return invalid(format!(
                "unified resource {file:?} can't be set: controller {controller:?} not available"
            ));
        }
        let lines: Vec<_> = value.lines().filter(|line| !line.is_empty()).collect();
        match lines.as_slice() {
            [] | [_] => writes.push(Write::new(file, value.trim_end_matches('\n'))),
            lines => writes.extend(lines.iter().map(|line| {
                let key = line.split(' ').next().unwrap_or_default();
                let before = Before::Line {
                    key: key.to_owned(),
                    unset: key.to_owned(),
                };
                Write::new(file, line).before(before)
            })),
        }
    }
    Ok(writes)
}

#[cfg(test)]
mod tests;
