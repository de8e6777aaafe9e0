//! The record of a container: what later commands need and cannot read elsewhere.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{GpusOnRecord, ProcessRef};
use crate::device_cgroup::Enforcement;

/// How far a container came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// `create` is at work, or was killed at it.
    Creating,
    /// Built, its device rules enforced; the program waits for `start`.
    Created,
    /// `start` has let the program go.
    Started,
}

/// The record of one container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Its id.
    pub id: String,
    /// How far it came.
    pub phase: Phase,
    /// The `create` that built it.
    pub creator: ProcessRef,
    /// Its init; `None` until it is built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<ProcessRef>,
    /// The caller's bundle, absolute.
    pub bundle: PathBuf,
    /// Its root filesystem, absolute.
    pub rootfs: PathBuf,
    /// `ociVersion` of its spec.
    pub oci_version: String,
    /// Annotations of its spec.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// When `create` took the id.
    pub created: DateTime<Utc>,
    /// `linux.cgroupsPath` as libcontainer got it.
    pub cgroups_path: PathBuf,
    /// Whether systemd drives the cgroup.
    pub systemd_cgroup: bool,
    /// Whether it has a PID namespace of its own, all of which dies with its init.
    pub own_pid_namespace: bool,
    /// The directories of its cgroup, one a hierarchy: what is in them is this container's and
    /// may be signalled and removed.
    pub cgroup_dirs: Vec<PathBuf>,
    /// Those in hierarchies that libcontainer leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub visited_dirs: Vec<PathBuf>,
    /// Those directories of both lists that were there before. Until the container is built, only
    /// processes of libcontainer are its own in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shared_dirs: Vec<PathBuf>,
    /// The GPUs that it was granted.
    #[serde(default, skip_serializing_if = "GpusOnRecord::is_empty")]
    pub gpus: GpusOnRecord,
    /// Groups of the granted nodes that its processes need, where the settings say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpu_gids: Vec<u32>,
    /// How its device rules are enforced; `None` until they are, and such a container
    /// does not start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enforcement: Option<Enforcement>,
    /// Whether it does without: in its user namespace no device node can be made, and it has
    /// only those that were mounted for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nodes_only: bool,
    /// Whether no hooks are left to run once it is created, and its spec need not be read for them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_late_hooks: bool,
    /// Whether its init has loaded its filter already, for an agent, and waits for `start` past
    /// libcontainer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub filter_is_loaded: bool,
    /// Whether its spec has it put into a resctrl group.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_resctrl_group: bool,
}

impl Record {
    #[cfg(test)]
    pub(crate) fn for_tests(id: &str) -> Self {
        Self {
            id: id.into(),
            phase: Phase::Created,
            creator: ProcessRef {
                pid: 1,
                start_time: 0,
            },
            init: None,
            bundle: "/bundle".into(),
            rootfs: "/bundle/rootfs".into(),
            oci_version: "1.2.0".into(),
            annotations: BTreeMap::new(),
            created: DateTime::UNIX_EPOCH,
            cgroups_path: "/a".into(),
            systemd_cgroup: false,
            own_pid_namespace: true,
            cgroup_dirs: Vec::new(),
            visited_dirs: Vec::new(),
            shared_dirs: Vec::new(),
            gpus: GpusOnRecord::default(),
            gpu_gids: Vec::new(),
            enforcement: None,
            nodes_only: false,
            without_late_hooks: false,
            filter_is_loaded: false,
            has_resctrl_group: false,
        }
    }
}
