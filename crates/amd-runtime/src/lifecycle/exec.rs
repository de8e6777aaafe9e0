//! `exec`: one more process in a container.

use std::path::PathBuf;

use serde_json::Value;

use super::specs::{read_process, read_spec};
use super::status::Status;
use super::{ContainerId, Runtime, write_pid};
use crate::error::{Error, Result};
use crate::hooks::HookState;
use crate::inject::add_gids;
use crate::keyring::join_session;
use crate::process::exec::{Request, SubCgroups, exec};
use crate::process::{Plan, descriptors};
use crate::seccomp::Filter;
use crate::spec::check::check_process;
use crate::spec::effective;
use crate::state::{LockKind, ProcessRef};

/// How a process is executed in a container.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// File that gets the pid of the process.
    pub pid_file: Option<PathBuf>,
    /// Socket to which the terminal is sent; for a process with `terminal` only.
    pub console_socket: Option<PathBuf>,
    /// Socket to which a pidfd of the process is sent.
    pub pidfd_socket: Option<PathBuf>,
    /// How many descriptors from 3 on the process inherits.
    pub preserve_fds: u32,
    /// Whether the standard streams of this process are for the new one alone, and so
    /// become its user's; not where they are a person's terminal.
    pub give_stdio: bool,
    /// Whether a paused container will do.
    pub ignore_paused: bool,
    /// Whether this process, and so the new one, is to be in the container's session keyring.
    pub join_keyring: bool,
    /// Cgroups below the container's in which the process starts.
    pub sub_cgroups: SubCgroups,
}

impl Runtime {
    /// The process object of a container's spec: what `exec` changes and then runs.
    ///
    /// # Errors
    /// Where there is no such container.
    pub fn process_of(&self, id: &ContainerId) -> Result<Value> {
        let (dir, _) = self.load(id)?;
        read_process(&dir)
    }

    /// Starts `process` (OCI runtime spec, config.md, "Process") in a container that is
    /// created or runs. It is in the container's namespaces and cgroup, under its seccomp
    /// filter, and has the groups of its GPUs.
    ///
    /// # Errors
    /// Where the container has stopped, the process is refused, or cannot be started.
    pub fn exec(
        &self,
        id: &ContainerId,
        mut process: Value,
        options: &ExecOptions,
    ) -> Result<ProcessRef> {
        // A `delete` would remove the cgroup before the process is there.
        let (dir, record, lock) = self.load_with_lock(id, LockKind::Shared)?;
        let status = Status::of(&record);
        let init = match (status, record.init) {
            (Status::Created | Status::Running, Some(init)) => init,
            (Status::Paused, Some(init)) if options.ignore_paused => init,
            (Status::Paused, _) => {
                return Err(Error::Status(
                    "cannot exec in a paused container (use --ignore-paused to override)".into(),
                ));
            }
            _ => return Err(Error::Status("cannot exec in a stopped container".into())),
        };
        check_process(&mut process)?;
        let spec = read_spec(&dir)?;
        inherit_unset(&spec, &mut process);
        add_gids(&mut process, &record.gpu_gids)?;
        effective::normalize_process(&mut process)?;
        descriptors::check_preserved(options.preserve_fds).map_err(Error::Usage)?;
        let filter = Filter::read(&dir.filter_path())?;
        let plan = Plan::new(&process, &spec, filter)?
            .inheriting(options.preserve_fds, options.give_stdio);
        if options.join_keyring {
            join_session(id, plan.selinux.as_deref().unwrap_or_default())?;
        }
        let cgroups = options.sub_cgroups.below(&record.cgroup_dirs)?;
        let request = Request {
            plan: &plan,
            spec: &spec,
            init,
            cgroups: &cgroups,
            visited: &record.visited_dirs,
            cgroups_asked_for: !options.sub_cgroups.is_empty(),
            console_socket: options.console_socket.as_deref(),
            pidfd_socket: options.pidfd_socket.as_deref(),
            state: &HookState::of(&record, init.pid, &status.to_string()),
        };
        // From then on it can hang, as in a paused container or on a seccomp agent, and whoever deletes
        // the container ends it.
        let is_in_cgroup = || drop(lock);
        exec(&request, is_in_cgroup, |process| {
            write_pid(options.pid_file.as_deref(), process)
        })
    }
}

/// What a process does not name and has from the container, as with runc.
const INHERITED: [&str; 8] = [
    "capabilities",
    "oomScoreAdj",
    "rlimits",
    "apparmorProfile",
    "selinuxLabel",
    "scheduler",
    "ioPriority",
    "execCPUAffinity",
];

fn inherit_unset(spec: &Value, process: &mut Value) {
    for key in INHERITED {
        let is_set = match process.get(key) {
            None | Some(Value::Null) => false,
            Some(Value::Array(items)) => !items.is_empty(),
            Some(Value::String(text)) => !text.is_empty(),
            Some(_) => true,
        };
        if !is_set && let Some(value) = spec["process"].get(key) {
            process[key] = value.clone();
        }
    }
}
