//! Device rules and limits as properties of a unit (systemd.resource-control(5); runc's package
//! cgroups/systemd). Pure data.

use std::borrow::Cow;

use super::wire::Value;
use crate::cgroup::resources::{Resources, cpu_weight, swap_of};
use crate::device_cgroup::rule::NodeKind;
use crate::device_cgroup::table::DeviceRange;
use crate::device_cgroup::{Access, DeviceTable};
use crate::id_list::IdList;

/// systemd's infinity.
const NO_LIMIT: u64 = u64::MAX;

/// A property of a unit.
#[derive(Clone, Debug, PartialEq)]
pub struct Property {
    /// Its name on the bus.
    pub name: Cow<'static, str>,
    /// Its value.
    pub value: Value,
}

impl Property {
    pub(super) fn new(name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }
}

/// The device rules of a container. An empty `DeviceAllow` first: every further one adds.
///
/// systemd has no rule for one minor of all majors, and no list of what is denied: the first is left
/// out and the second becomes a list of nothing, as with runc. What systemd allows counts beside the
/// container's own program, which is exact.
pub fn of_devices(table: &DeviceTable) -> Vec<Property> {
    let none = || Property::new("DeviceAllow", Value::Devices(Vec::new()));
    if table.default_allow() && table.exceptions().len() == 0 {
        return vec![none(), Property::new("DevicePolicy", "auto")];
    }
    let mut all = vec![none(), Property::new("DevicePolicy", "strict")];
    if table.default_allow() {
        tracing::warn!("systemd has no list of denied devices: its own list allows nothing");
        return all;
    }
    let entry = |(range, access): (DeviceRange, Access)| {
        let kind = match range.kind {
            NodeKind::Block => "block",
            NodeKind::Char => "char",
        };
        let device = match (range.major, range.minor) {
            (None, None) => format!("{kind}-*"),
            (Some(major), None) => format!("{kind}-{major}"),
            (Some(major), Some(minor)) => format!("/dev/{kind}/{major}:{minor}"),
            (None, Some(_)) => return None,
        };
        Some((device, access.to_string()))
    };
    let allowed: Vec<_> = table.exceptions().filter_map(entry).collect();
    all.push(Property::new("DeviceAllow", Value::Devices(allowed)));
    all
}

/// The limits that systemd knows; all of them are written to the cgroup besides.
pub fn of_limits(limits: &Resources) -> Vec<Property> {
    let mut all = Vec::new();
    let mut push = |name, value: Option<u64>| {
        all.extend(value.map(|value| Property::new(name, value)));
    };
    let bytes = |limit: Option<i64>| match limit {
        None | Some(0) => None,
        Some(limit) => Some(u64::try_from(limit).unwrap_or(NO_LIMIT)),
    };
    if let Some(memory) = &limits.memory {
        push("MemoryMax", bytes(memory.limit));
        push("MemoryLow", bytes(memory.reservation));
        let swap = swap_of(memory);
        push(
            "MemorySwapMax",
            swap.map(|swap| u64::try_from(swap).unwrap_or(NO_LIMIT)),
        );
    }
    if let Some(cpu) = &limits.cpu {
        // A weight of 0 is what systemd has for idle.
        let weight = match cpu.idle {
            Some(1) => Some(0),
            _ => cpu.shares.filter(|shares| *shares != 0).map(cpu_weight),
        };
        push("CPUWeight", weight);
        let period = cpu.period.filter(|period| *period != 0);
        push("CPUQuotaPeriodUSec", period);
        push(
            "CPUQuotaPerSecUSec",
            quota_a_second(cpu.quota.unwrap_or(0), period),
        );
    }
    if let Some(limit) = limits.pids.as_ref().and_then(|pids| pids.limit) {
        let tasks = match limit {
            0 => 1,
            limit => u64::try_from(limit).unwrap_or(NO_LIMIT),
        };
        push("TasksMax", Some(tasks));
    }
    if let Some(cpu) = &limits.cpu {
        for (name, list) in [
            ("AllowedCPUs", &cpu.cpus),
            ("AllowedMemoryNodes", &cpu.mems),
        ] {
            // What is no list is refused by the cgroup.
            let list = list.as_deref().and_then(|list| IdList::parse(list).ok());
            if let Some(list) = list.filter(|list| !list.is_empty()) {
                all.push(Property::new(name, Value::Bytes(list.bytes())));
            }
        }
    }
    all
}

/// Microseconds of CPU time a second, in steps of a hundredth of a CPU, as systemd rounds it.
fn quota_a_second(quota: i64, period: Option<u64>) -> Option<u64> {
    const STEP: u64 = 10_000;
    match (quota, period) {
        (0, None) => None,
        (..=0, _) => Some(NO_LIMIT),
        (quota, period) => {
            let quota = u64::try_from(quota).ok()?;
            let a_second = quota.saturating_mul(1_000_000) / period.unwrap_or(100_000);
            Some(a_second.div_ceil(STEP) * STEP)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::device_cgroup::rules_from_spec;

    fn limits(json: serde_json::Value) -> Vec<Property> {
        of_limits(&serde_json::from_value(json).unwrap())
    }

    #[test]
    fn device_rules_become_a_list_of_what_is_allowed() {
        let rules = rules_from_spec(&json!([
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 226, "minor": 128, "access": "rwm"},
            {"allow": true, "type": "b", "major": 8, "access": "r"},
        ]));
        let table = DeviceTable::of_container(&rules.unwrap()).unwrap();
        let all = of_devices(&table);
        assert_eq!(all[0], Property::new("DeviceAllow", Value::Devices(vec![])));
        assert_eq!(all[1], Property::new("DevicePolicy", "strict"));
        let Value::Devices(list) = &all[2].value else {
            panic!("{all:?}")
        };
        for entry in [
            ("/dev/char/226:128", "rwm"),
            ("char-*", "m"),
            ("block-*", "m"),
            // runc's default rules.
            ("/dev/char/1:3", "rwm"),
            ("char-136", "rwm"),
        ] {
            let entry = (entry.0.to_owned(), entry.1.to_owned());
            assert!(list.contains(&entry), "{entry:?} in {list:?}");
        }
        assert!(
            list.iter().any(|(device, _)| device == "block-8"),
            "{list:?}"
        );
    }

    #[test]
    fn a_container_that_may_use_everything_has_no_list() {
        let rules = rules_from_spec(&json!([{"allow": true, "access": "rwm"}])).unwrap();
        let table = DeviceTable::of_container(&rules).unwrap();
        assert_eq!(of_devices(&table)[1], Property::new("DevicePolicy", "auto"));
    }

    #[test]
    fn limits_have_systemds_names_and_units() {
        assert_eq!(
            limits(json!({
                "memory": {"limit": 30, "swap": 50, "reservation": -1},
                "cpu": {"shares": 1024, "quota": 50_500, "period": 100_000, "cpus": "0-1,9"},
                "pids": {"limit": 0},
            })),
            [
                Property::new("MemoryMax", 30_u64),
                Property::new("MemoryLow", NO_LIMIT),
                Property::new("MemorySwapMax", 20_u64),
                Property::new("CPUWeight", 100_u64),
                Property::new("CPUQuotaPeriodUSec", 100_000_u64),
                Property::new("CPUQuotaPerSecUSec", 510_000_u64),
                Property::new("TasksMax", 1_u64),
                Property::new("AllowedCPUs", Value::Bytes(vec![0b11, 0b10])),
            ]
        );
        assert_eq!(
            limits(json!({"cpu": {"quota": -1}}))[0].value,
            NO_LIMIT.into()
        );
        assert_eq!(
            limits(json!({"cpu": {"idle": 1, "shares": 5}})),
            [Property::new("CPUWeight", 0_u64)]
        );
        assert!(limits(json!({"memory": {"limit": 0}, "pids": {}})).is_empty());
    }
}
