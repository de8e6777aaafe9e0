//! Taking back a container that was not finished.

use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::reap::LIBCONTAINER_PROCESS;
use super::resctrl::remove_groups;
use super::status::Status;
use crate::cgroup::Cgroup;
use crate::cgroup::systemd::Unit;
use crate::error::{Error, Result, chain};
use crate::state::{ContainerDir, Lock, Record};

/// Removes a container that is being created when it is dropped before
/// [`Undo::commit`]: its processes, its cgroup, its state, in this order.
#[derive(Debug)]
pub struct Undo {
    dir: ContainerDir,
    record: Option<Record>,
    // Held to the end: nobody sees the container half removed.
    _lock: Lock,
    committed: bool,
}

impl Undo {
    /// Will remove the state directory.
    pub fn new(dir: ContainerDir, lock: Lock) -> Self {
        Self {
            dir,
            record: None,
            _lock: lock,
            committed: false,
        }
    }

    /// Will kill and remove what is on record, too.
    pub fn watch(&mut self, record: Record) {
        self.record = Some(record);
    }

    /// The container stays.
    pub fn commit(mut self) {
        self.committed = true;
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        // The first failure is already on its way to the user; these go to the log.
        if let Some(record) = &self.record
            && let Err(err) = recover(&self.dir, record)
        {
            // Its record says where to go on, for a forced delete or another create of this id.
            tracing::warn!(
                "undoing the create of {id}: {}; what is left of it stays for \
                 `amd-container-runtime delete --force {id}`",
                chain(&err),
                id = record.id
            );
            return;
        }
        if let Err(err) = self.dir.remove() {
            tracing::warn!("undoing the create of {}: {err}", self.dir.id());
        }
    }
}

/// How long a process that a killed create has forked may take to notice.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

/// As [`recover`], of a container whose build did not come to its end. Directories that were there
/// before stay, and so does whoever came there meanwhile.
fn recover_unfinished(dir: &ContainerDir, record: &Record) -> Result<()> {
    let is_shared = |dir: &&PathBuf| record.shared_dirs.contains(dir);
    let part = |shared: bool| {
        let of = |dirs: &[PathBuf]| {
            dirs.iter()
                .filter(|d| is_shared(d) == shared)
                .cloned()
                .collect()
        };
        let mut part = record.clone();
        part.cgroup_dirs = of(&record.cgroup_dirs);
        part.visited_dirs = of(&record.visited_dirs);
        Cgroup::of(&part)
    };
    let own = part(false);
    let deadline = Instant::now() + PATIENCE;
    loop {
        // Looked at first: who is done now, has done nothing that is not seen below.
        let at_work = dir.is_at_work();
        part(true).kill_named(LIBCONTAINER_PROCESS)?;
        own.kill()?;
        // Those that are in no cgroup of the container's, or not yet.
        for process in dir.builders(LIBCONTAINER_PROCESS) {
            // Gone since is what we want.
            let _ = process.signal(libc::SIGKILL);
        }
        if !at_work {
            return Ok(own.remove()?);
        }
        if Instant::now() > deadline {
            return Err(Error::Status(format!(
                "container {}: a process of the create that was killed is still at work",
                record.id
            )));
        }
        sleep(PAUSE);
    }
}

/// Kills the processes of a container, whose state is in `dir`, and removes its cgroup and resctrl
/// groups.
///
/// Of a container that has stopped, and had a PID namespace of its own, nothing lives:
/// processes in its cgroup are then another's, who was given the same path, and so is
/// the cgroup.
///
/// # Errors
/// Where a process survives or a directory stays.
pub fn recover(dir: &ContainerDir, record: &Record) -> Result<()> {
    let recovered = recover_cgroup(dir, record);
    remove_groups(dir, record);
    let unit = Unit::of(&record.cgroups_path).filter(|_| record.systemd_cgroup);
    if let Some(Err(err)) = unit.map(|unit| unit.remove()) {
        // An empty scope goes by itself, unless it has failed.
        tracing::warn!(
            "removing the unit of container {}: {}",
            record.id,
            chain(&err)
        );
    }
    recovered
}

fn recover_cgroup(dir: &ContainerDir, record: &Record) -> Result<()> {
    if record.init.is_none() {
        return recover_unfinished(dir, record);
    }
    let cgroup = Cgroup::of(record);
    let stopped = record.init.is_some() && Status::of(record) == Status::Stopped;
    if stopped && record.own_pid_namespace {
        if !cgroup.becomes_empty()? {
            tracing::warn!("the cgroup of container {} is in use by others", record.id);
            return Ok(());
        }
        return Ok(cgroup.remove()?);
    }
    if let Some(init) = record.init {
        // Gone since is what we want.
        let _ = init.signal(libc::SIGKILL);
    }
    cgroup.kill()?;
    Ok(cgroup.remove()?)
}
