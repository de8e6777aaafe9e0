//! `linux.resources`, typed. A limit of 0 is none, as in the Go structs that engines write
//! the file from, but where [`Resources`] says otherwise.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Limits of a container; what is `None` or empty is not named.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(
    missing_docs,
    reason = "the sections of config-linux.md, by their names"
)]
pub struct Resources {
    pub memory: Option<Memory>,
    pub cpu: Option<Cpu>,
    pub pids: Option<Pids>,
    #[serde(rename = "blockIO")]
    pub block_io: Option<BlockIo>,
    pub hugepage_limits: Option<Vec<HugepageLimit>>,
    pub network: Option<Network>,
    pub rdma: Option<BTreeMap<String, Rdma>>,
    pub unified: Option<BTreeMap<String, String>>,
}

/// Memory, in bytes; -1 is no limit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the fields of config-linux.md, by their names")]
pub struct Memory {
    pub limit: Option<i64>,
    pub reservation: Option<i64>,
    /// Memory and swap together.
    pub swap: Option<i64>,
    pub kernel: Option<i64>,
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: Option<i64>,
    /// 0 is a value: swap only where there is no way around it.
    pub swappiness: Option<u64>,
    #[serde(rename = "disableOOMKiller")]
    pub disable_oom_killer: Option<bool>,
    pub check_before_update: Option<bool>,
}

/// CPU time, in microseconds, and the CPUs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the fields of config-linux.md, by their names")]
pub struct Cpu {
    pub shares: Option<u64>,
    pub quota: Option<i64>,
    /// 0 is a value: no burst.
    pub burst: Option<u64>,
    pub period: Option<u64>,
    pub realtime_runtime: Option<i64>,
    pub realtime_period: Option<u64>,
    pub cpus: Option<String>,
    pub mems: Option<String>,
    /// 0 is a value: not idle.
    pub idle: Option<i64>,
}

/// The number of tasks.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Pids {
    /// -1 is no limit, and 0 is one task, as with runc and systemd.
    pub limit: Option<i64>,
}

/// Block devices.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the fields of config-linux.md, by their names")]
pub struct BlockIo {
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
    pub weight_device: Option<Vec<WeightDevice>>,
    pub throttle_read_bps_device: Option<Vec<ThrottleDevice>>,
    pub throttle_write_bps_device: Option<Vec<ThrottleDevice>>,
    #[serde(rename = "throttleReadIOPSDevice")]
    pub throttle_read_iops_device: Option<Vec<ThrottleDevice>>,
    #[serde(rename = "throttleWriteIOPSDevice")]
    pub throttle_write_iops_device: Option<Vec<ThrottleDevice>>,
}

/// The weight of one block device.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the fields of config-linux.md, by their names")]
pub struct WeightDevice {
    pub major: i64,
    pub minor: i64,
    pub weight: Option<u16>,
    pub leaf_weight: Option<u16>,
}

/// The rate of one block device, bytes or operations a second; 0 is no limit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields of config-linux.md, by their names")]
pub struct ThrottleDevice {
    pub major: i64,
    pub minor: i64,
    pub rate: u64,
}

/// Bytes in huge pages of one size.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HugepageLimit {
    /// As in `2MB`.
    // runc's decoder takes names in any case, and its own tests write it so.
    #[serde(alias = "pagesize")]
    pub page_size: String,
    /// 0 is a value.
    pub limit: u64,
}

/// Marks on the network traffic of a container.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields of config-linux.md, by their names")]
pub struct Network {
    #[serde(rename = "classID")]
    pub class_id: Option<u32>,
    pub priorities: Option<Vec<InterfacePriority>>,
}

/// The priority of traffic through one interface.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the fields of config-linux.md, by their names")]
pub struct InterfacePriority {
    pub name: String,
    pub priority: u32,
}

/// Resources of one RDMA device.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[allow(missing_docs, reason = "the fields of config-linux.md, by their names")]
pub struct Rdma {
    pub hca_handles: Option<u32>,
    pub hca_objects: Option<u32>,
}

impl Resources {
    /// Takes out what processes that build a container in its cgroup must not be held to: the limit
    /// of tasks, since they are up to three, and where `cpu_time` says so what would let them wait.
    pub fn take_those_of_builders(&mut self, cpu_time: bool) -> Self {
        let mut taken = Self {
            pids: self.pids.take(),
            ..Self::default()
        };
        if cpu_time {
            taken.cpu = self.cpu.take();
        }
        let is_taken =
            |file: &str| file.starts_with("pids.") || cpu_time && file.starts_with("cpu");
        if let Some(files) = &mut self.unified {
            let (of_builders, others) = std::mem::take(files)
                .into_iter()
                .partition(|(file, _)| is_taken(file));
            *files = others;
            taken.unified = Some(of_builders);
        }
        taken
    }

    /// Whether a limit is named of a controller that a threaded cgroup of v2 cannot have (as runc's
    /// `containsDomainController` has it).
    pub fn need_domain(&self) -> bool {
        let memory = self.memory.as_ref().is_some_and(|m| {
            [m.limit, m.reservation, m.swap]
                .into_iter()
                .any(|limit| set(limit).is_some())
        });
        let hugetlb = self
            .hugepage_limits
            .as_ref()
            .is_some_and(|list| !list.is_empty());
        memory || hugetlb || self.block_io.is_some() || self.cpu.is_some()
    }
}

impl Memory {
    /// Whether the obsolete limits of kernel memory are named; as with runc they are ignored.
    pub fn names_kernel_memory(&self) -> bool {
        set(self.kernel).is_some() || set(self.kernel_tcp).is_some()
    }
}

/// A limit that is named: not 0.
pub(super) fn set<T: Default + PartialEq>(limit: Option<T>) -> Option<T> {
    limit.filter(|limit| *limit != T::default())
}

/// A list of CPUs or memory nodes that is named: not empty.
pub(super) fn named(list: Option<&String>) -> Option<&str> {
    list.map(String::as_str).filter(|list| !list.is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_limit_of_tasks_is_taken_wherever_it_is_named() {
        let named = json!({
            "pids": {"limit": 1}, "unified": {"pids.max": "2", "cpu.max": "3"},
            "memory": {"limit": 4},
        });
        let mut all: Resources = serde_json::from_value(named).unwrap();
        let tasks = all.take_those_of_builders(false);
        let of = |value| serde_json::from_value::<Resources>(value).unwrap();
        assert_eq!(
            tasks,
            of(json!({"pids": {"limit": 1}, "unified": {"pids.max": "2"}}))
        );
        assert_eq!(
            all,
            of(json!({"unified": {"cpu.max": "3"}, "memory": {"limit": 4}}))
        );
    }
}
