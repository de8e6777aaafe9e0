//! What is left to do for a container that is built, until it is created: what its init gets from this
//! process, and the record that says so.

use std::path::PathBuf;

use oci_spec::runtime::PosixRlimit;
use serde_json::Value;

use super::agent::AwaitedFilter;
use super::create_options::CreateOptions;
use super::devices::Devices;
use super::loopback;
use super::rights::must_be_in;
use super::undo::Undo;
use super::{Runtime, write_pid};
use crate::cgroup::resources::{Resources, Unsupported};
use crate::cgroup::systemd::Unit;
use crate::cgroup::visit::join;
use crate::cgroup::{Cgroup, CgroupError};
use crate::error::{Error, Result, chain};
use crate::process::exec::send_pidfd;
use crate::process::{Scheduling, connect_to, reset_affinity_of_init, set_limits};
use crate::state::{ContainerDir, Liveness, Phase, ProcessRef, Record};

/// A container that is built, and whose init waits.
pub(super) struct Built<'a> {
    pub dir: &'a ContainerDir,
    pub record: Record,
    pub init: ProcessRef,
    /// Its effective spec.
    pub spec: &'a Value,
    pub cgroup: &'a Cgroup,
    pub unit: Option<&'a Unit>,
    /// The directories of its cgroup where its init is not yet.
    pub dirs_to_join: Vec<PathBuf>,
    /// Limits that would have stood in the way of those who built it.
    pub late_limits: Resources,
    /// The filter that its init passes on to an agent.
    pub awaited_filter: Option<AwaitedFilter>,
    pub scheduling: Scheduling,
    pub rlimits: Vec<PosixRlimit>,
    pub devices: Devices,
}

impl Runtime {
    /// Makes a built container a created one: its init is in its cgroup, with its limits and its device
    /// rules in force and checked, and whoever asked for it knows. `undo` learns of the init first.
    ///
    /// # Errors
    /// Where a step fails. The container must be undone then.
    pub(super) fn finish(
        &self,
        built: Built<'_>,
        undo: &mut Undo,
        options: &CreateOptions,
    ) -> Result<()> {
        let Built {
            dir,
            mut record,
            init,
            spec,
            cgroup,
            unit,
            dirs_to_join,
            late_limits,
            awaited_filter,
            scheduling,
            rlimits,
            mut devices,
        } = built;
        let pid = init.pid;
        record.init = Some(init);
        // Empty before, the container's from here on, whoever made the directories.
        record.shared_dirs.clear();
        undo.watch(record.clone());
        for dir in &dirs_to_join {
            join(dir, pid).map_err(Error::system(format!("cannot join cgroup {dir:?}")))?;
        }
        // As long as its cgroup has room for another thread.
        if let Some(filter) = awaited_filter {
            filter.pass_on(dir, &mut record)?;
        }
        if self.rootless.tolerates_missing_cgroups() {
            must_be_in(cgroup, pid, unit)?;
        }
        if let Some(unit) = unit {
            unit.set_limits(&late_limits).map_err(CgroupError::from)?;
        }
        Cgroup::of(&record).set_limits(&late_limits, Unsupported::Warn)?;
        // Else what is said of its /proc/PID, which has nothing in it, leads astray.
        let unless_gone = |err: Error| match init.liveness() {
            Liveness::Zombie | Liveness::Gone => Error::Process(format!(
                "container init exited prematurely: {}",
                chain(&err)
            )),
            _ => err,
        };
        loopback::bring_up(spec, pid).map_err(unless_gone)?;
        reset_affinity_of_init(pid, &scheduling).map_err(|err| Error::Process(err.to_string()))?;
        set_limits(pid, &rlimits).map_err(|err| Error::Process(err.to_string()))?;
        self.check_nodes(pid, &devices.granted_nodes)
            .map_err(unless_gone)?;
        record.enforcement = self
            .enforce(dir.id(), pid, &mut devices)
            .map_err(unless_gone)?;
        record.nodes_only = record.enforcement.is_none();
        record.phase = Phase::Created;
        if let Some(path) = &options.pidfd_socket {
            send_pidfd(&connect_to(path)?, init, "standard")?;
        }
        write_pid(options.pid_file.as_deref(), init)?;
        dir.save(&record)?;
        self.hand_over(devices.reservation, &record)
    }
}
