//! The status of a container: read from its process and its freezer, never stored.

use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use super::reap::LIBCONTAINER_PROCESS;
use super::{ContainerId, Runtime};
use crate::cgroup::Cgroup;
use crate::error::Result;
use crate::state::{Phase, ProcessRef, Record};

/// Annotation under which `state` names the GPUs that a container was granted.
pub const GRANTED: &str = "amd.com/gpu.granted";

/// The status of a container (OCI runtime spec, runtime.md, "State"), and `paused` as
/// runc has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// `create` is at work.
    Creating,
    /// Built; the program waits for `start`.
    Created,
    /// The program runs.
    Running,
    /// The program is frozen.
    Paused,
    /// The program has exited, or the container was never finished.
    Stopped,
}

impl Status {
    /// The status of the container with this record, now.
    pub fn of(record: &Record) -> Self {
        let Some(init) = record.init else {
            let at_work = record.phase == Phase::Creating && record.creator.is_alive();
            return if at_work {
                Self::Creating
            } else {
                Self::Stopped
            };
        };
        if !init.is_alive() {
            return Self::Stopped;
        }
        if Cgroup::of(record).is_frozen() {
            return Self::Paused;
        }
        // A `start` that was killed between letting the program go and recording it.
        let waits = || {
            init.name()
                .is_some_and(|name| name.starts_with(LIBCONTAINER_PROCESS))
        };
        match record.phase {
            Phase::Creating => Self::Creating,
            Phase::Created if waits() => Self::Created,
            Phase::Created | Phase::Started => Self::Running,
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// What `state` prints and `list` lists: the OCI state and the fields that runc adds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerState {
    /// Version of the spec that the container was built from.
    pub oci_version: String,
    /// Its id.
    pub id: String,
    /// Pid of its init as the host sees it; 0 once it has stopped.
    pub pid: i32,
    /// Its status.
    pub status: Status,
    /// The bundle that it was created from.
    pub bundle: PathBuf,
    /// Its root filesystem.
    pub rootfs: PathBuf,
    /// When it was created.
    #[serde(serialize_with = "rfc3339_nanos")]
    pub created: DateTime<Utc>,
    /// Annotations of its spec, and under [`GRANTED`] the CDI names of its GPUs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Who created it.
    pub owner: String,
}

fn rfc3339_nanos<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::Nanos, true))
}

impl Runtime {
    /// The state of a container.
    ///
    /// # Errors
    /// Where there is no such container, or its record cannot be understood.
    pub fn state(&self, id: &ContainerId) -> Result<ContainerState> {
        let (dir, record) = self.load(id)?;
        let status = Status::of(&record);
        let pid = match status {
            Status::Stopped => 0,
            _ => record.init.map_or(0, |init| init.pid),
        };
        let gpus = dir.gpu_names(&record)?;
        let mut annotations = record.annotations;
        if !gpus.is_empty() {
            annotations.insert(GRANTED.into(), gpus.join(","));
        }
        Ok(ContainerState {
            oci_version: record.oci_version,
            id: record.id,
            pid,
            status,
            bundle: record.bundle,
            rootfs: record.rootfs,
            created: record.created,
            annotations,
            owner: String::new(),
        })
    }

    /// Pids of all processes of a container, sorted.
    ///
    /// # Errors
    /// Where there is no such container, or its cgroup cannot be read.
    pub fn pids(&self, id: &ContainerId) -> Result<Vec<i32>> {
        let (_, record) = self.load(id)?;
        let cgroup = Cgroup::of(&record);
        if cgroup.is_none() {
            let processes = processes_without_cgroup(&record).into_iter();
            return Ok(processes.map(|process| process.pid).collect());
        }
        Ok(cgroup.pids()?)
    }

    /// The GPUs that a container was granted.
    ///
    /// # Errors
    /// Where there is no such container, or its record cannot be understood.
    pub fn gpus(&self, id: &ContainerId) -> Result<Vec<crate::state::GrantedGpu>> {
        let (dir, record) = self.load(id)?;
        Ok(dir.gpus(&record)?)
    }
}

/// The processes of a container without a cgroup: those in the PID namespace of its init, where
/// that is the container's own, and its init otherwise; sorted by pid.
pub(super) fn processes_without_cgroup(record: &Record) -> Vec<ProcessRef> {
    let Some(init) = record.init.filter(ProcessRef::is_alive) else {
        return Vec::new();
    };
    let namespace = |pid: i32| {
        let namespace = std::fs::metadata(format!("/proc/{pid}/ns/pid")).ok()?;
        Some((namespace.dev(), namespace.ino()))
    };
    let own = namespace(init.pid).filter(|_| record.own_pid_namespace);
    let Some(own) = own else {
        return vec![init];
    };
    let mut all: Vec<ProcessRef> = ProcessRef::all()
        .filter(|process| namespace(process.pid) == Some(own))
        .collect();
    all.sort_by_key(|process| process.pid);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_create_that_was_killed_is_stopped() {
        let mut record = Record::for_tests("a");
        record.phase = Phase::Creating;
        record.creator = ProcessRef {
            pid: 1,
            start_time: u64::MAX,
        };
        assert_eq!(Status::of(&record), Status::Stopped);
        record.creator = ProcessRef::own().unwrap();
        assert_eq!(Status::of(&record), Status::Creating);
    }

    #[test]
    fn a_container_lives_as_long_as_its_init() {
        let mut record = Record::for_tests("a");
        record.init = ProcessRef::own();
        // This process is not libcontainer's: a program that runs, whatever is on record.
        assert_eq!(Status::of(&record), Status::Running);
        record.phase = Phase::Started;
        assert_eq!(Status::of(&record), Status::Running);
        record.init = Some(ProcessRef {
            pid: 1,
            start_time: u64::MAX,
        });
        assert_eq!(Status::of(&record), Status::Stopped);
    }
}
