//! `update`: new limits for a running container.
//!
//! The device rules are not among them: libcgroups would put the rules of the update
//! in place of the container's, and the container would lose its GPUs. Here they are
//! left out, and stay what `create` enforced.

use libcgroups::common::{
    CgroupConfig, CgroupManager, CgroupSetup, ControllerOpt, create_cgroup_manager,
    get_cgroup_setup,
};
use libcontainer::oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value};

use super::status::Status;
use super::{ContainerId, Runtime};
use crate::error::{Error, Result};
use crate::spec::{SpecError, typed};

/// Limits in the form of `linux.resources` (OCI runtime spec, config-linux.md); what
/// is not named stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Limits(Map<String, Value>);

/// Sections of `linux.resources` that libcgroups applies.
const APPLIED: [&str; 6] = [
    "memory",
    "cpu",
    "pids",
    "blockIO",
    "hugepageLimits",
    "unified",
];
/// Sections that an update may carry and that change nothing on purpose.
const LEFT_ALONE: [&str; 1] = ["devices"];

impl Limits {
    /// The limits of a JSON text, as `update --resources` reads it.
    ///
    /// # Errors
    /// Where it is no JSON object, or has a section that this runtime cannot apply.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let field = |message: String| Error::from(SpecError::Field(message));
        let value: Value = serde_json::from_slice(text)
            .map_err(|err| field(format!("resources are not valid JSON: {err}")))?;
        let Value::Object(mut sections) = value else {
            return Err(field("resources must be a JSON object".into()));
        };
        sections.retain(|key, _| !LEFT_ALONE.contains(&key.as_str()));
        sections.values_mut().for_each(leave_out_unset);
        sections.retain(|_, value| !is_unset(value));
        if let Some(key) = sections.keys().find(|key| !APPLIED.contains(&key.as_str())) {
            return Err(field(format!(
                "cannot update {key}: this runtime cannot apply it"
            )));
        }
        Ok(Self(sections))
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

    fn into_resources(self) -> Result<LinuxResources> {
        Ok(typed("resources", &Value::Object(self.0))?)
    }
}

/// Keys for which 0 is a value to set. For all others it says, as in the Go structs
/// that engines write the file from, that nothing is to change: dockerd sends every
/// limit with every update.
const ZERO_COUNTS: [&str; 3] = ["idle", "burst", "swappiness"];

fn leave_out_unset(section: &mut Value) {
    if let Some(keys) = section.as_object_mut() {
        keys.retain(|key, value| {
            !is_unset(value) || (value.is_number() && ZERO_COUNTS.contains(&key.as_str()))
        });
    }
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(set) => !set,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(keys) => keys.is_empty(),
    }
}

/// libcgroups passes over the section on v1; runc refuses it.
fn is_unified() -> bool {
    matches!(get_cgroup_setup(), Ok(CgroupSetup::Unified))
}

impl Runtime {
    /// Applies new limits to a container that has not stopped. Its GPUs stay.
    ///
    /// # Errors
    /// Where the container has stopped or a limit cannot be applied; limits before that
    /// one are then applied already, as the kernel has no transaction for them.
    pub fn update(&self, id: &ContainerId, limits: Limits) -> Result<()> {
        let (_dir, record, _lock) = self.load_locked(id)?;
        if Status::of(&record) == Status::Stopped {
            return Err(Error::not_running(id));
        }
        if limits.0.contains_key("unified") && !is_unified() {
            return Err(SpecError::Field(
                "cannot update unified: it is for cgroup v2, and this host has v1".into(),
            )
            .into());
        }
        let resources = limits.into_resources()?;
        let manager = create_cgroup_manager(CgroupConfig {
            cgroup_path: record.cgroups_path,
            systemd_cgroup: record.systemd_cgroup,
            container_name: id.to_string(),
        })
        .map_err(|err| Error::Update(Box::new(err)))?;
        manager
            .apply(&ControllerOpt {
                resources: &resources,
                disable_oom_killer: false,
                oom_score_adj: None,
                freezer_state: None,
            })
            .map_err(|err| Error::Update(Box::new(err)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_rules_of_an_update_are_left_out() {
        let limits = Limits::from_json(br#"{"devices": [{"allow": false}], "memory": null}"#);
        assert!(limits.unwrap().is_empty());
    }

    #[test]
    fn zeros_change_nothing_but_where_zero_is_a_value() {
        let text = br#"{"memory": {"limit": 0, "swappiness": 0}, "blockIO": {"weight": 0},
            "cpu": {"shares": 0, "cpus": "", "quota": 5}, "pids": {"limit": 0}}"#;
        let limits = Limits::from_json(text).unwrap();
        let left = serde_json::json!({"memory": {"swappiness": 0}, "cpu": {"quota": 5}});
        assert_eq!(Value::Object(limits.0), left);
    }

    #[test]
    fn a_limit_that_cannot_be_applied_is_an_error() {
        for text in [
            &br#"{"rdma": {"a": 1}}"#[..],
            b"[]",
            b"{",
            br#"{"network": {"classID": 1}}"#,
        ] {
            assert!(Limits::from_json(text).is_err());
        }
    }

    #[test]
    fn a_limit_of_the_wrong_type_is_named() {
        let limits = Limits::from_json(br#"{"memory": {"limit": "much"}}"#).unwrap();
        let message = limits.into_resources().unwrap_err().to_string();
        assert!(message.starts_with("resources.memory.limit: "), "{message}");
    }

    #[test]
    fn limits_of_the_command_line_become_resources() {
        let mut limits = Limits::default();
        limits.set("memory", "limit", 1 << 20);
        limits.set("memory", "swap", -1);
        let resources = limits.into_resources().unwrap();
        let memory = resources.memory().as_ref().unwrap();
        assert_eq!((memory.limit(), memory.swap()), (Some(1 << 20), Some(-1)));
    }
}
