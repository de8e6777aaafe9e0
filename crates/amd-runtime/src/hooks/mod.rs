//! Hooks: programs that the spec has run at points of a container's life (OCI runtime
//! spec, config.md, "POSIX-platform Hooks").
//!
//! libcontainer is told of none of them. Its runner shows a hook the effective bundle in
//! place of the caller's, gives it no way to say why it failed, and does not say which of
//! several it was. The hooks of `create` have to run at a point inside libcontainer's
//! build, in its processes: there it is told to run this program again, as their runner
//! ([`create`]). All others are run where they are due.

pub mod create;
mod run;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use run::{HookError, run};

use crate::spec::{SpecError, typed};

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// As `createRuntime`, before it; deprecated, and what docker has its network made by.
    Prestart,
    /// Once the namespaces are made, in those of the runtime.
    CreateRuntime,
    /// Then, in those of the container, before its root is the process's own.
    CreateContainer,
    /// In the container, before its program.
    StartContainer,
    /// After `start`, in the runtime's namespaces.
    Poststart,
    /// After `delete`, in the runtime's namespaces.
    Poststop,
}

impl When {
    /// The name of the field in the spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }
}

/// One hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// The program, an absolute path.
    pub path: String,
    /// Its arguments, the first being its name for itself.
    #[serde(default)]
    pub args: Option<Vec<String>>,
    /// Its environment; there is no other.
    #[serde(default)]
    pub env: Option<Vec<String>>,
    /// After so many seconds it is killed, and has failed.
    #[serde(default)]
    pub timeout: Option<i64>,
}

/// The hooks of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks(BTreeMap<When, Vec<Hook>>);

impl Hooks {
    /// The hooks of a spec.
    ///
    /// # Errors
    /// Names the field that is wrong.
    pub fn of(spec: &Value) -> Result<Self, SpecError> {
        let mut all = BTreeMap::new();
        for when in [
            When::Prestart,
            When::CreateRuntime,
            When::CreateContainer,
            When::StartContainer,
            When::Poststart,
            When::Poststop,
        ] {
            let list = &spec["hooks"][when.name()];
            if list.is_null() {
                continue;
            }
            let list: Vec<Hook> = typed(&format!("hooks.{}", when.name()), list)?;
            if let Some(hook) = list
                .iter()
                .find(|hook| hook.timeout.is_some_and(|t| t <= 0))
            {
                return Err(SpecError::Field(format!(
                    "hooks.{}: the timeout of {} must be greater than zero",
                    when.name(),
                    hook.path
                )));
            }
            if !list.is_empty() {
                all.insert(when, list);
            }
        }
        Ok(Self(all))
    }

    /// Whether none is to run once a container is created, but for those that its init runs.
    pub fn are_early(&self) -> bool {
        [When::Poststart, When::Poststop]
            .iter()
            .all(|when| self.at(*when).is_empty())
    }

    /// The hooks of one point, in their order.
    pub fn at(&self, when: When) -> &[Hook] {
        self.0.get(&when).map_or(&[], Vec::as_slice)
    }
}

/// The state that a hook finds on its standard input (runtime.md, "State").
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookState {
    /// Version of the spec.
    pub oci_version: String,
    /// Id of the container.
    pub id: String,
    /// `creating`, `created`, `running` or `stopped`.
    pub status: String,
    /// Pid of the container's init, as seen from the namespace that the hook runs in.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub pid: i32,
    /// The bundle that the container was created from.
    pub bundle: std::path::PathBuf,
    /// Annotations of the spec.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub annotations: BTreeMap<String, String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(pid: &i32) -> bool {
    *pid == 0
}

impl HookState {
    /// The state of a container, with this pid and status.
    pub fn of(record: &crate::state::Record, pid: i32, status: &str) -> Self {
        Self {
            oci_version: record.oci_version.clone(),
            id: record.id.clone(),
            status: status.to_owned(),
            pid,
            bundle: record.bundle.clone(),
            annotations: record.annotations.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn hooks_are_found_by_their_point_in_their_order() {
        let spec = json!({"hooks": {
            "createRuntime": [{"path": "/a"}, {"path": "/b", "args": ["b", "1"], "timeout": 3}],
            "poststop": [], "prestart": null, "unknown": 5,
        }});
        let hooks = Hooks::of(&spec).unwrap();
        let at = hooks.at(When::CreateRuntime);
        assert_eq!((at[0].path.as_str(), at[1].timeout), ("/a", Some(3)));
        assert!(hooks.at(When::Poststop).is_empty() && hooks.at(When::Prestart).is_empty());
        assert_eq!(Hooks::of(&json!({})).unwrap(), Hooks::default());
    }

    #[test]
    fn a_hook_that_cannot_be_is_named() {
        for (hooks, says) in [
            (json!({"poststart": [{"args": []}]}), "missing field `path`"),
            (json!({"prestart": {}}), "hooks.prestart:"),
            (
                json!({"prestart": [{"path": "/x", "timeout": 0}]}),
                "timeout of /x must be",
            ),
        ] {
            let message = Hooks::of(&json!({"hooks": hooks})).unwrap_err().to_string();
            assert!(message.contains(says), "{message}");
        }
    }
}
