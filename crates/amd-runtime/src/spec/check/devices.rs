//! `linux.devices` and `linux.resources.devices`.

use serde_json::Value;

use super::{SpecError, items, refuse, text};
use crate::device_cgroup::rules_from_spec;

/// Checks the devices of a spec and the rules for them.
pub(super) fn check(linux: &Value) -> Result<(), SpecError> {
    for device in items(linux, "devices") {
        let kind = text(device, "type");
        if !matches!(kind, "b" | "c" | "u" | "p") {
            return refuse(format!(
                "invalid device type {kind:?} of {:?}",
                text(device, "path")
            ));
        }
        for field in ["major", "minor"] {
            let number = device
                .get(field)
                .and_then(Value::as_i64)
                .unwrap_or_default();
            if u32::try_from(number).is_err() {
                return refuse(format!(
                    "{field} of the device {:?} must be from 0 to {}, and is {number}",
                    text(device, "path"),
                    u32::MAX
                ));
            }
        }
    }
    let resources = linux.get("resources").unwrap_or(&Value::Null);
    for (index, rule) in items(resources, "devices").iter().enumerate() {
        if text(rule, "access").is_empty() {
            return refuse(format!("device access at {index} field cannot be empty"));
        }
    }
    let rules = resources.get("devices").unwrap_or(&Value::Null);
    match rules_from_spec(rules) {
        Ok(_) => Ok(()),
        Err(err) => refuse(err.to_string()),
    }
}
