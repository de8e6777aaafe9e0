//! `restore`: the processes of a container from files, by CRIU.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use rust_criu::rust_criu_protobuf::rpc::Criu_req_type;
use serde_json::{Value, json};

use super::checkpoint::{io_error, open_dirs, request, succeeded};
use super::limits::take_limits;
use super::loopback;
use super::settle::Settled;
use super::specs::write_spec;
use super::{ContainerId, Runtime, write_pid};
use crate::cgroup::resources::Unsupported;
use crate::cgroup::visit::join;
use crate::cgroup::{Cgroup, CgroupError};
use crate::checkpoint::{CheckpointError, Criu, Notice, RestoreOptions, outside};
use crate::error::{Error, Result};
use crate::hooks::{self, HookState, Hooks, When};
use crate::mount_namespace::Stay;
use crate::mounts::external::{external, make_mount_points};
use crate::process::{connect, send_fd, typed_spec};
use crate::seccomp;
use crate::spec::{Bundle, array, namespace, object};
use crate::state::{Phase, ProcessRef};

const LOG: &str = "restore.log";

/// Where CRIU finds the root filesystem, below the state directory: it must be a mount, and
/// nothing may be mounted over its parent. It is one in CRIU's mount namespace alone.
const ROOT: &str = "criu-root";

impl Runtime {
    /// Makes the container `id` anew, from a bundle and the images that [`Runtime::checkpoint`]
    /// wrote. Returns its init, which runs, and is a child of this process.
    ///
    /// It has the GPUs that the bundle asks for now, and its device rules are in force before any of
    /// its processes goes on; every failure undoes what was done before it.
    ///
    /// # Errors
    /// Where the spec is refused, the id is in use, CRIU is not there, or any step fails.
    pub fn restore(
        &self,
        id: &ContainerId,
        bundle: Bundle,
        options: &RestoreOptions,
    ) -> Result<ProcessRef> {
        self.refuse_rootless()?;
        let criu = Criu::new(options.criu.program.as_deref());
        criu.check_version()?;
        refuse_cgroup_namespace(&bundle.spec)?;
        let mut settled = self.settle(id, bundle)?;
        let mut record = self.new_record(&settled)?;
        let mut devices = self.take_devices(
            settled.request.as_ref(),
            &mut settled.spec,
            &settled.rules,
            &mut record,
        )?;
        devices.additions.put_into(&mut settled.spec)?;
        let typed = typed_spec(&mut settled.spec)?;
        let spec = settled.spec.clone();
        let hooks = Hooks::of(&spec)?;
        let external = external(&typed, &settled.rootfs, &settled.bundle)?;
        let filter = match &spec["linux"]["seccomp"] {
            Value::Null => None,
            profile => Some(seccomp::compiled(profile)?),
        };
        record.without_late_hooks = hooks.are_early();
        let Settled {
            dir,
            mut undo,
            spec: mut told,
            cgroup,
            unit,
            rootfs,
            bundle,
            ..
        } = settled;
        let mut limits = take_limits(&mut told)?;
        dir.save(&record)?;
        undo.watch(record.clone());
        write_spec(&dir.spec_path(), &in_time_namespace(&spec)?)?;
        write_spec(&dir.config_path(), &spec)?;
        if let Some(filter) = &filter {
            filter.write(&dir.filter_path())?;
        }
        // Those would count CRIU's processes, too.
        let tasks = limits.take_those_of_builders(false);
        let keeper = self.make_cgroup(
            &cgroup,
            unit.as_ref(),
            &record.annotations,
            &limits,
            Some(&devices.table),
        )?;

        make_mount_points(&typed, &rootfs, &bundle)?;
        let root = dir.path().join(ROOT);
        fs::create_dir(&root).map_err(|err| io_error("cannot create")((root.clone(), err)))?;
        let mut opts = options.criu.told(LOG, &spec["annotations"]);
        opts.root = Some(root.to_string_lossy().into_owned());
        // A child of this process, as a container that it creates is.
        opts.rst_sibling = Some(true);
        opts.evasive_devices = Some(true);
        opts.lsm_profile.clone_from(&options.lsm_profile);
        opts.lsm_mount_context
            .clone_from(&options.lsm_mount_context);
        let namespaces = outside::find_namespaces(&mut opts, &spec);
        let _namespaces = namespaces.map_err(io_error("cannot open the namespace"))?;
        outside::find_mounts(&mut opts, &spec, &external);
        outside::find_streams(&mut opts, &options.criu.image_path)
            .map_err(io_error("cannot read"))?;

        let stay = Stay::begin().map_err(Error::system("cannot make a mount namespace"))?;
        mount_root(&rootfs, &root).map_err(|err| {
            io_error("cannot mount the root filesystem at")((root.clone(), err.into()))
        })?;
        // Here: CRIU mounts in them.
        let _dirs = open_dirs(&mut opts, &options.criu)?;
        let worker = criu.start(true)?;
        drop(stay);
        for dir in cgroup.dirs().iter().chain(cgroup.visited()) {
            join(dir, worker.pid())
                .map_err(Error::system(format!("cannot join cgroup {dir:?}")))?;
        }
        drop(keeper);
        outside::find_cgroups(&mut opts, worker.pid()).map_err(io_error("cannot read"))?;

        let answer = |notice: Notice| -> Result<()> {
            tracing::debug!(script = notice.script, pid = notice.pid, "criu");
            match notice.script.as_str() {
                "setup-namespaces" => {
                    let state = HookState::of(&record, notice.pid, "creating");
                    for when in [When::Prestart, When::CreateRuntime] {
                        hooks::run(when, hooks.at(when), &state, None, &[])?;
                    }
                }
                // Its processes are there, and wait.
                "post-restore" => {
                    let pid = notice.pid;
                    let init = ProcessRef::of(pid).ok_or_else(|| {
                        Error::Status(format!("container {id}: its init is gone"))
                    })?;
                    record.init = Some(init);
                    record.shared_dirs.clear();
                    undo.watch(record.clone());
                    if let Some(unit) = &unit {
                        unit.set_limits(&tasks).map_err(CgroupError::from)?;
                    }
                    Cgroup::of(&record).set_limits(&tasks, Unsupported::Warn)?;
                    loopback::bring_up(&spec, pid)?;
                    self.check_nodes(pid, &devices.granted_nodes)?;
                    record.enforcement = self.enforce(id, pid, &mut devices)?;
                    record.nodes_only = record.enforcement.is_none();
                    record.phase = Phase::Started;
                    write_pid(options.pid_file.as_deref(), init)?;
                    dir.save(&record)?;
                    // Not later: a restore that is killed leaves a container that runs, and has
                    // its GPUs.
                    self.hand_over(devices.reservation.take(), &record)?;
                }
                "orphan-pts-master" => {
                    if let (Some(path), Some(terminal)) = (&options.console_socket, notice.terminal)
                    {
                        send_terminal(path, terminal.as_fd())
                            .map_err(Error::system(format!("cannot send to {path:?}")))?;
                    }
                }
                _ => {}
            }
            Ok(())
        };
        let response = worker.request(&request(Criu_req_type::RESTORE, opts), answer)?;
        succeeded(&response, &options.criu, LOG)?;
        // The mount was CRIU's.
        let _ = fs::remove_dir(&root);
        let init = record.init.ok_or_else(|| CheckpointError::Lost {
            why: "it restored no process".into(),
        })?;
        undo.commit();
        Ok(init)
    }
}

/// CRIU restores processes into a time namespace, so that their clocks go on where they stood:
/// what is executed in the container later, or checkpointed with it, must be there, too.
fn in_time_namespace(spec: &Value) -> Result<Value> {
    let mut spec = spec.clone();
    if namespace(&spec, "time").is_none() && Path::new("/proc/self/ns/time").exists() {
        let linux = object(&mut spec, "linux")?;
        array(linux, "namespaces")?.push(json!({"type": "time"}));
    }
    Ok(spec)
}

/// CRIU joins namespaces of every kind but this.
fn refuse_cgroup_namespace(spec: &Value) -> Result<()> {
    let path = namespace(spec, "cgroup").and_then(|namespace| namespace["path"].as_str());
    match path.filter(|path| !path.is_empty()) {
        Some(path) => Err(Error::Usage(format!(
            "linux.namespaces: a container cannot be restored into the cgroup namespace {path}"
        ))),
        None => Ok(()),
    }
}

/// Mounts the root filesystem at `root`, in the mount namespace that this process is in for CRIU.
fn mount_root(rootfs: &Path, root: &Path) -> nix::Result<()> {
    let nothing = None::<&str>;
    // What the host mounts later gets here, and so into what is restored as its slave.
    let slave = MsFlags::MS_REC | MsFlags::MS_SLAVE;
    mount(nothing, "/", nothing, slave, nothing)?;
    let bind = MsFlags::MS_REC | MsFlags::MS_BIND;
    mount(Some(rootfs), root, nothing, bind, nothing)
}

/// Sends the master of a terminal as runc does, its name with it.
fn send_terminal(socket: &Path, terminal: std::os::fd::BorrowedFd<'_>) -> io::Result<()> {
    let socket = connect(socket)?;
    Ok(send_fd(socket.as_fd(), b"orphan-pts-master", terminal)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_container_has_a_time_namespace_once() {
        let spec = json!({"linux": {"namespaces": [{"type": "pid"}]}});
        let once = in_time_namespace(&spec).unwrap();
        assert_eq!(once["linux"]["namespaces"][1], json!({"type": "time"}));
        assert_eq!(in_time_namespace(&once).unwrap(), once);
    }

    #[test]
    fn the_cgroup_namespace_of_another_is_refused_before_anything_is_made() {
        let spec =
            |path: &str| json!({"linux": {"namespaces": [{"type": "cgroup", "path": path}]}});
        assert!(refuse_cgroup_namespace(&spec("")).is_ok());
        let error = refuse_cgroup_namespace(&spec("/proc/1/ns/cgroup")).unwrap_err();
        assert!(error.to_string().contains("/proc/1/ns/cgroup"), "{error}");
    }
}
