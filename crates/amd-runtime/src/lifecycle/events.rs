//! `events`: what a container uses, in the shape of runc's events.

use std::collections::BTreeMap;

use libcgroups::common::{CgroupConfig, CgroupManager, create_cgroup_manager};
use libcgroups::stats::{BlkioDeviceStat, MemoryData};
use serde_json::{Value, json};

use super::status::Status;
use super::{ContainerId, Runtime};
use crate::error::{Error, Result};

/// The `data` of one event of type `stats` (runc, types/events.go).
#[derive(Clone, Debug)]
pub struct Stats(Value);

impl Stats {
    /// The event, as runc prints it.
    pub fn event(&self, id: &ContainerId) -> Value {
        json!({"type": "stats", "id": id.as_str(), "data": self.0})
    }
}

impl Runtime {
    /// What a container uses now.
    ///
    /// # Errors
    /// Where the container has stopped, or its cgroup cannot be read.
    pub fn stats(&self, id: &ContainerId) -> Result<Stats> {
        let (_, record) = self.load(id)?;
        if Status::of(&record) == Status::Stopped {
            return Err(Error::Status(format!(
                "container with id {id} is not running"
            )));
        }
        let failed = |source| Error::Libcontainer {
            what: "cannot read the statistics of the container",
            source,
        };
        let manager = create_cgroup_manager(CgroupConfig {
            cgroup_path: record.cgroups_path,
            systemd_cgroup: record.systemd_cgroup,
            container_name: id.to_string(),
        })
        .map_err(|err| failed(err.into()))?;
        let stats = manager.stats().map_err(|err| failed(err.into()))?;
        Ok(Stats(as_runc(&stats)))
    }
}

fn as_runc(stats: &libcgroups::stats::Stats) -> Value {
    let usage = &stats.cpu.usage;
    let throttling = &stats.cpu.throttling;
    let memory = &stats.memory;
    let hugetlb: BTreeMap<_, _> = stats
        .hugetlb
        .iter()
        .map(|(size, h)| {
            (
                size,
                json!({"usage": h.usage, "max": h.max_usage, "failcnt": h.fail_count}),
            )
        })
        .collect();
    json!({
        "cpu": {
            "usage": {
                "total": usage.usage_total,
                "percpu": usage.per_core_usage_total,
                "percpu_kernel": usage.per_core_usage_kernel,
                "percpu_user": usage.per_core_usage_user,
                "kernel": usage.usage_kernel,
                "user": usage.usage_user,
            },
            "throttling": {
                "periods": throttling.periods,
                "throttledPeriods": throttling.throttled_periods,
                "throttledTime": throttling.throttled_time,
            },
        },
        "memory": {
            "cache": memory.cache,
            "usage": memory_entry(&memory.memory),
            "swap": memory_entry(&memory.memswap),
            "kernel": memory_entry(&memory.kernel),
            "kernelTCP": memory_entry(&memory.kernel_tcp),
            "raw": memory.stats,
        },
        "pids": {"current": stats.pids.current, "limit": stats.pids.limit},
        "blkio": {
            "ioServiceBytesRecursive": blkio(&stats.blkio.service_bytes),
            "ioServicedRecursive": blkio(&stats.blkio.serviced),
            "ioQueueRecursive": blkio(&stats.blkio.queued),
            "ioServiceTimeRecursive": blkio(&stats.blkio.service_time),
            "ioWaitTimeRecursive": blkio(&stats.blkio.wait_time),
            "ioMergedRecursive": blkio(&stats.blkio.merged),
            "ioTimeRecursive": blkio(&stats.blkio.time),
            "sectorsRecursive": blkio(&stats.blkio.sectors),
        },
        "hugetlb": hugetlb,
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

fn memory_entry(data: &MemoryData) -> Value {
    json!({
        "limit": data.limit, "usage": data.usage, "max": data.max_usage,
        "failcnt": data.fail_count,
    })
}

fn blkio(entries: &[BlkioDeviceStat]) -> Vec<Value> {
    entries
        .iter()
        .map(|e| json!({"major": e.major, "minor": e.minor, "op": e.op_type, "value": e.value}))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_has_runcs_shape() {
        let mut stats = libcgroups::stats::Stats::default();
        stats.memory.memory.limit = 7;
        stats.cpu.usage.usage_total = 9;
        let event = Stats(as_runc(&stats)).event(&ContainerId::new("c").unwrap());
        assert_eq!(event["type"], "stats");
        assert_eq!(event["id"], "c");
        assert_eq!(event["data"]["memory"]["usage"]["limit"], 7);
        assert_eq!(event["data"]["cpu"]["usage"]["total"], 9);
    }
}
