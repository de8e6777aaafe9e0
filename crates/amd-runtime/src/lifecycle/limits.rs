//! The limits of a container as `create` and `update` get them: JSON in, [`Resources`] out.

use serde_json::{Map, Value};

use crate::cgroup::resources::Resources;
use crate::error::{Error, Result};
use crate::spec::{SpecError, typed};

/// Limits in the form of `linux.resources` (OCI runtime spec, config-linux.md); what is not named
/// stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Limits(Map<String, Value>);

/// The sections of `linux.resources` and their keys. Go's decoder, and so runc, takes them in any
/// case.
const SECTIONS: [(&str, &[&str]); 9] = [
    (
        "memory",
        &[
            "limit",
            "reservation",
            "swap",
            "kernel",
            "kernelTCP",
            "swappiness",
            "disableOOMKiller",
            "useHierarchy",
            "checkBeforeUpdate",
        ],
    ),
    (
        "cpu",
        &[
            "shares",
            "quota",
            "burst",
            "period",
            "realtimeRuntime",
            "realtimePeriod",
            "cpus",
            "mems",
            "idle",
        ],
    ),
    ("pids", &["limit"]),
    (
        "blockIO",
        &[
            "weight",
            "leafWeight",
            "weightDevice",
            "throttleReadBpsDevice",
            "throttleWriteBpsDevice",
            "throttleReadIOPSDevice",
            "throttleWriteIOPSDevice",
        ],
    ),
    ("hugepageLimits", &[]),
    ("network", &["classID", "priorities"]),
    ("rdma", &[]),
    ("unified", &[]),
    // No limits, and they stay what create enforced: the container keeps its GPUs.
    ("devices", &[]),
];

impl Limits {
    /// The limits of a JSON text, as `update --resources` reads it. What this runtime does not know
    /// is left out, with a warning: a newer engine may know more.
    ///
    /// # Errors
    /// Where it is no JSON object.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let field = |message: String| Error::from(SpecError::Field(message));
        let value: Value = serde_json::from_slice(text)
            .map_err(|err| field(format!("resources are not valid JSON: {err}")))?;
        let Value::Object(named) = value else {
            return Err(field("resources must be a JSON object".into()));
        };
        let unknown = |key: &str| tracing::warn!("{key} is not updated: no such limit is known");
        let mut limits = Self::default();
        for (key, value) in named {
            let section = SECTIONS
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(&key));
            let Some((name, keys)) = section else {
                unknown(&key);
                continue;
            };
            let value = match value {
                Value::Object(fields) if !keys.is_empty() => fields
                    .into_iter()
                    .filter_map(|(field, value)| {
                        let known = keys.iter().find(|name| name.eq_ignore_ascii_case(&field));
                        if known.is_none() {
                            unknown(&format!("{name}.{field}"));
                        }
                        Some(((*known?).to_owned(), value))
                    })
                    .collect(),
                other => other,
            };
            if *name != "devices" {
                limits.0.insert((*name).to_owned(), value);
            }
        }
        Ok(limits)
    }

    /// Sets one limit, as in `set("memory", "limit", 1 << 30)`.
    pub fn set(&mut self, section: &str, key: &str, value: impl Into<Value>) {
        let entry = self
            .0
            .entry(section)
            .or_insert_with(|| Value::Object(Map::new()));
        entry[key] = value.into();
    }

    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The limits, typed.
    ///
    /// # Errors
    /// Where one has the wrong type or is out of the range of its type.
    pub(super) fn into_resources(self) -> Result<Resources> {
        resources(&Value::Object(self.0))
    }
}

/// Takes the limits and device rules out of a spec: this runtime sets them, and libcontainer,
/// which would write a rule at a time, is told of none.
///
/// # Errors
/// Where one has the wrong type or is out of the range of its type.
pub(super) fn take_limits(spec: &mut Value) -> Result<Resources> {
    match spec.pointer_mut("/linux/resources").map(Value::take) {
        Some(all) => resources(&all),
        None => Ok(Resources::default()),
    }
}

fn resources(value: &Value) -> Result<Resources> {
    if value.is_null() {
        return Ok(Resources::default());
    }
    let resources: Resources = typed("linux.resources", value)?;
    if resources
        .memory
        .as_ref()
        .is_some_and(|m| m.names_kernel_memory())
    {
        tracing::warn!("Kernel memory settings are ignored and will be removed");
    }
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn device_rules_of_an_update_are_left_out() {
        let limits = Limits::from_json(br#"{"devices": [{"allow": false}]}"#);
        assert!(limits.unwrap().is_empty());
    }

    #[test]
    fn names_are_taken_in_any_case() {
        let limits = Limits::from_json(br#"{"CPU": {"Cpus": "1"}, "blockio": {"WEIGHT": 10}}"#);
        let resources = limits.unwrap().into_resources().unwrap();
        assert_eq!(resources.cpu.unwrap().cpus.as_deref(), Some("1"));
        assert_eq!(resources.block_io.unwrap().weight, Some(10));
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let limits = Limits::from_json(
            br#"{"ramdisk": {"a": 1}, "memory": {"limmit": 1, "limit": 2}, "new": 5}"#,
        );
        assert_eq!(
            limits.unwrap().0,
            *json!({"memory": {"limit": 2}}).as_object().unwrap()
        );
    }

    #[test]
    fn what_is_no_json_object_is_an_error() {
        for text in [&b"[]"[..], b"{", b""] {
            assert!(Limits::from_json(text).is_err());
        }
    }

    #[test]
    fn a_limit_of_the_wrong_type_is_named() {
        let limits = Limits::from_json(br#"{"memory": {"limit": "much"}}"#).unwrap();
        let message = limits.into_resources().unwrap_err().to_string();
        assert!(
            message.starts_with("linux.resources.memory.limit: "),
            "{message}"
        );
    }

    #[test]
    fn limits_of_the_command_line_become_resources() {
        let mut limits = Limits::default();
        limits.set("memory", "limit", 1 << 20);
        limits.set("memory", "swap", -1);
        let memory = limits.into_resources().unwrap().memory.unwrap();
        assert_eq!((memory.limit, memory.swap), (Some(1 << 20), Some(-1)));
    }

    #[test]
    fn libcontainer_is_told_of_no_limits_and_no_device_rules() {
        let mut spec = json!({"linux": {"resources": {
            "devices": [{"allow": false}], "pids": {"limit": 5}, "unified": {},
        }}});
        let limits = take_limits(&mut spec).unwrap();
        assert_eq!(limits.pids.unwrap().limit, Some(5));
        assert_eq!(spec, json!({"linux": {"resources": null}}));
        assert_eq!(take_limits(&mut json!({})).unwrap(), Resources::default());
    }
}
