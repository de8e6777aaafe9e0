//! `exec`: one more process in a running container.

use std::fs;
use std::path::{Path, PathBuf};

use libcontainer::oci_spec::runtime::{LinuxCapabilities, LinuxSeccomp};
use serde_json::{Value, json};

use super::build::{BuildOptions, base, with_causes};
use super::create::has_user_namespace;
use super::executor::{Program, Restrictions};
use super::status::Status;
use super::{ContainerId, Runtime, write_pid};
use crate::cgroup::visit::Visit;
use crate::error::{Error, Result, chain};
use crate::inject::add_gids;
use crate::spec::check::check_process;
use crate::spec::{SpecError, effective};
use crate::state::{ContainerDir, LockKind, ProcessRef, Record, write_atomically};
use crate::stdio;

/// How a process is executed in a container.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// File that gets the pid of the process.
    pub pid_file: Option<PathBuf>,
    /// Socket to which the terminal is sent; for a process with `terminal` only.
    pub console_socket: Option<PathBuf>,
    /// How many descriptors from 3 on the process inherits.
    pub preserve_fds: i32,
    /// Whether the standard streams of this process are for the new one alone, and so
    /// become its user's; not where they are a person's terminal.
    pub give_stdio: bool,
    /// Whether a paused container will do.
    pub ignore_paused: bool,
    /// A cgroup below the container's in which the process starts.
    pub sub_cgroup: Option<String>,
}

impl Runtime {
    /// The process object of a container's spec: what `exec` changes and then runs.
    ///
    /// # Errors
    /// Where there is no such container.
    pub fn process_of(&self, id: &ContainerId) -> Result<Value> {
        let (dir, _) = self.load(id)?;
        let mut spec = read_config(&dir)?;
        Ok(spec.get_mut("process").map(Value::take).unwrap_or_default())
    }

    /// Starts `process` (OCI runtime spec, config.md, "Process") in a running container.
    /// It is in the container's namespaces and cgroup, under its seccomp filter, and
    /// has the groups of its GPUs.
    ///
    /// # Errors
    /// Where the container does not run, the process is refused, or cannot be started.
    pub fn exec(
        &self,
        id: &ContainerId,
        mut process: Value,
        options: &ExecOptions,
    ) -> Result<ProcessRef> {
        // Until the process is in its cgroup: a `delete` meanwhile would remove it, and
        // libcontainer would make it anew, without the container's rules.
        let (dir, record, _lock) = self.load_with_lock(id, LockKind::Shared)?;
        match Status::of(&record) {
            Status::Running => {}
            Status::Paused if options.ignore_paused => {}
            Status::Paused => {
                return Err(Error::Status("cannot exec in a paused container".into()));
            }
            _ => return Err(Error::Status("cannot exec in a stopped container".into())),
        }
        check_process(&mut process)?;
        let spec = read_config(&dir)?;
        inherit_unset(&spec, &mut process);
        add_gids(&mut process, &record.gpu_gids)?;
        effective::normalize_process(&mut process)?;
        let host_ids = !has_user_namespace(&spec);
        if options.give_stdio && host_ids {
            stdio::give_to_user_of(&process)?;
        }
        let program = restricted_program(&spec, &mut process)?;
        let workspace = Workspace::new(&dir, &process)?;
        let pid = start_process(&dir, &record, &workspace, program, options)?;
        if options.console_socket.is_some() && host_ids {
            stdio::give_terminal_of(pid, &process)?;
        }
        let process = ProcessRef::of(pid)
            .ok_or_else(|| Error::Status(format!("the process in container {id} is gone")))?;
        write_pid(options.pid_file.as_deref(), process)?;
        Ok(process)
    }
}

/// What a process does not name and has from the container, as with runc: without it,
/// it would keep all capabilities, and the engine's protection from the OOM killer.
const INHERITED: [&str; 2] = ["capabilities", "oomScoreAdj"];

fn inherit_unset(spec: &Value, process: &mut Value) {
    for key in INHERITED {
        if process.get(key).is_none_or(Value::is_null)
            && let Some(value) = spec["process"].get(key)
        {
            process[key] = value.clone();
        }
    }
}

fn start_process(
    dir: &ContainerDir,
    record: &Record,
    workspace: &Workspace,
    program: Program,
    options: &ExecOptions,
) -> Result<i32> {
    let build = BuildOptions {
        systemd_cgroup: record.systemd_cgroup,
        no_pivot: false,
        preserve_fds: options.preserve_fds,
        console_socket: options.console_socket.as_deref(),
    };
    // Where libcontainer does not put the process. One that stays out is not out of any limit.
    let _visit = Visit::enter(&record.visited_dirs)
        .inspect_err(|err| tracing::warn!("{}", chain(err)))
        .ok();
    let pid = with_causes(|| {
        base(dir, &build)?
            .with_root_path(&workspace.path)?
            .with_executor(program)
            .as_tenant()
            .with_detach(true)
            .with_process(Some(workspace.process_path()))
            .with_ignore_paused(true)
            .with_sub_cgroup(options.sub_cgroup.clone())
            .build()
    })?;
    Ok(pid.as_raw())
}

/// libcontainer drops the container's seccomp section when it makes the spec of an
/// exec'd process (`adapt_spec_for_tenant` builds `linux` anew), so that the process
/// runs without a filter. The program loads it itself, as the last thing.
///
/// Without `noNewPrivileges` loading a filter needs `CAP_SYS_ADMIN`, and dropping
/// bounding capabilities `CAP_SETPCAP`: libcontainer is asked to leave these two, and
/// the program drops them after the filter is in place, as runc does.
fn restricted_program(spec: &Value, process: &mut Value) -> Result<Program> {
    let parse = |what: &str, err: serde_json::Error| SpecError::Field(format!("{what}: {err}"));
    let seccomp: Option<LinuxSeccomp> = match spec
        .pointer("/linux/seccomp")
        .filter(|value| !value.is_null())
    {
        Some(section) => {
            Some(serde_json::from_value(section.clone()).map_err(|e| parse("linux.seccomp", e))?)
        }
        None => None,
    };
    let Some(seccomp) = seccomp else {
        return Ok(Program::default());
    };

    let mut capabilities = None;
    let privileges_may_grow = process.get("noNewPrivileges") != Some(&Value::Bool(true));
    if privileges_may_grow
        && let Some(sets) = process.get_mut("capabilities")
        && !sets.is_null()
    {
        let wanted: LinuxCapabilities = serde_json::from_value(sets.clone())
            .map_err(|err| parse("process.capabilities", err))?;
        capabilities = Some(wanted);
        for set in ["bounding", "effective", "permitted"] {
            let names = crate::spec::array(sets, set)?;
            for name in ["CAP_SYS_ADMIN", "CAP_SETPCAP"] {
                if !names.iter().any(|n| n == name) {
                    names.push(json!(name));
                }
            }
        }
    }
    Ok(Program::restricted(Restrictions {
        seccomp,
        capabilities,
    }))
}

fn read_config(dir: &ContainerDir) -> Result<Value> {
    let path = dir.config_path();
    let io = |source| Error::Io {
        what: "cannot read",
        path: path.clone(),
        source,
    };
    let bytes = fs::read(&path).map_err(io)?;
    serde_json::from_slice(&bytes).map_err(|err| io(err.into()))
}

/// What the name of a workspace begins with, before the pid of its exec.
const WORKSPACE: &str = "exec.";

/// A libcontainer root of this exec alone, with a copy of the container's state.
///
/// libcontainer leaves a socket behind in the state directory with every exec; a
/// health check every few seconds would fill the tmpfs. Here it goes with the
/// workspace.
struct Workspace {
    path: PathBuf,
}

impl Workspace {
    fn new(dir: &ContainerDir, process: &Value) -> Result<Self> {
        remove_abandoned(dir);
        let workspace = Self {
            path: dir
                .path()
                .join(format!("{WORKSPACE}{}", std::process::id())),
        };
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Io {
                what: "cannot write",
                path,
                source,
            }
        };
        let state = workspace.path.join(dir.id().as_str());
        fs::create_dir_all(&state).map_err(io(&state))?;
        let copy = state.join("state.json");
        fs::copy(dir.libcontainer_dir().join("state.json"), &copy).map_err(io(&copy))?;
        let json = workspace.process_path();
        write_atomically(&json, process.to_string().as_bytes()).map_err(io(&json))?;
        Ok(workspace)
    }

    fn process_path(&self) -> PathBuf {
        self.path.join("process.json")
    }
}

/// Removes the workspaces of execs that were killed.
fn remove_abandoned(dir: &ContainerDir) {
    for entry in fs::read_dir(dir.path()).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(WORKSPACE)?.parse().ok());
        if pid.is_some_and(|pid: i32| ProcessRef::of(pid).is_none()) {
            // Another exec may be doing the same.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(err) = fs::remove_dir_all(&self.path) {
            tracing::warn!("cannot remove {:?}: {err}", self.path);
        }
    }
}
