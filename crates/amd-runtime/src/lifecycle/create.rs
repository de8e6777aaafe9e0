//! `create`: from a bundle to a container whose program waits for `start`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::Utc;
use libcgroups::common::{CgroupSetup, get_cgroup_setup};
use libcontainer::oci_spec::runtime::Spec;
use serde_json::{Value, json};

use super::build::{BuildOptions, build};
use super::causes::Causes;
use super::grant::Grant;
use super::joining::Joining;
use super::limits::take_limits;
use super::loopback;
use super::named_namespaces::NamedNamespaces;
use super::rights::must_be_in;
use super::undo::{Undo, recover};
use super::{ContainerId, Runtime, write_pid};
use crate::cgroup::hidden::{Cover, Hidden};
use crate::cgroup::resources::{Resources, Unsupported};
use crate::cgroup::systemd::properties_of;
use crate::cgroup::visit::{Visit, join};
use crate::cgroup::{Cgroup, CgroupError};
use crate::device_cgroup::{DeviceCgroupError, DeviceRule, DeviceTable, prepare, rules_from_spec};
use crate::error::{Error, Result};
use crate::hooks::{self, HookState, Hooks, When};
use crate::inject::inject;
use crate::mounts::cgroup_v1::show_own_v1;
use crate::mounts::{self, Circumstances, Handover};
use crate::process::exec::send_pidfd;
use crate::process::{
    Init, Plan, connect, descriptors, known_to_oci_spec, reset_affinity, set_limits, told,
};
use crate::request;
use crate::rootless::translate_mappings;
use crate::seccomp;
use crate::spec::effective::{cgroups_path, effective};
use crate::spec::{Bundle, has_new_namespace, typed};
use crate::state::{Phase, ProcessRef, Record, write_atomically};

/// How a container is created.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// File that gets the pid of the container's init.
    pub pid_file: Option<PathBuf>,
    /// Socket to which the terminal is sent; for a spec with `terminal` only.
    pub console_socket: Option<PathBuf>,
    /// Whether to chroot where pivot_root(2) is not possible.
    pub no_pivot: bool,
    /// How many descriptors from 3 on the program inherits.
    pub preserve_fds: u32,
    /// Socket to which a pidfd of the init is sent.
    pub pidfd_socket: Option<PathBuf>,
    /// Whether the standard streams of this process are for the container alone, and so
    /// become its user's; not where they are a person's terminal.
    pub give_stdio: bool,
}

impl Runtime {
    /// Creates the container `id` from the bundle at `bundle`, with the GPUs that its
    /// spec asks for. Returns its init.
    ///
    /// The container starts with exactly what it asked for, its device rules in force
    /// and checked, or not at all: every failure undoes what was done before it.
    ///
    /// # Errors
    /// Where the spec is refused, the id is in use, a GPU is not there, or any step of
    /// the way fails.
    pub fn create(
        &self,
        id: &ContainerId,
        bundle: &Path,
        options: &CreateOptions,
    ) -> Result<ProcessRef> {
        let bundle = Bundle::load(bundle)?;
        self.create_from_bundle(id, bundle, options)
    }

    /// As [`Runtime::create`], from a bundle that is loaded already.
    ///
    /// # Errors
    /// As [`Runtime::create`].
    pub fn create_from_bundle(
        &self,
        id: &ContainerId,
        bundle: Bundle,
        options: &CreateOptions,
    ) -> Result<ProcessRef> {
        check_terminal(bundle.terminal(), options.console_socket.is_some())?;
        let (dir, lock) = self.root.claim(id)?;
        if let Some(leftover) = dir.leftover() {
            tracing::info!(%id, "cleaning up after a create that did not finish");
            recover(&dir, &leftover)?;
        }
        dir.clear()?;
        let mut undo = Undo::new(dir.clone(), lock);

        let grant = match request::of_spec(&bundle.spec, &self.settings.gpus) {
            Some(request) => Grant::for_request(&request, &self.host, &self.settings.gpus)?,
            None => None,
        };
        let named_cgroup = !cgroups_path(&bundle.spec).is_empty();
        let mut spec = effective(bundle.spec, id, &bundle.rootfs, self.systemd_cgroup)?;
        if self.rootless.tolerates_missing_rules() {
            translate_mappings(&mut spec)?;
        }
        if let Some(grant) = &grant {
            spec = inject(spec, &grant.edits, &self.gids_of(grant))?;
        }
        let rules = canonical_rules(&mut spec)?;
        let cgroups_path = PathBuf::from(cgroups_path(&spec));
        let (cgroup, unit) = self.cgroup_of(&cgroups_path, named_cgroup)?;
        cgroup.must_be_empty()?;
        cgroup.must_be_thawed()?;
        if !matches!(get_cgroup_setup(), Ok(CgroupSetup::Unified)) {
            let below = cgroups_path.strip_prefix("/").unwrap_or(&cgroups_path);
            show_own_v1(&mut spec, &cgroup.v1_dirs(), below)?;
        }
        let plan = plan(&spec, options)?;
        let hooks = Hooks::of(&spec)?;
        // libcontainer reads it so, and would name a line of a file that nobody knows.
        let typed = typed::<Spec>("config.json", &known_to_oci_spec(&spec))?;
        let whole = spec.clone();
        // Those of the spec are run by us.
        spec["hooks"] = Value::Null;
        let joining = match cgroup.is_none() {
            true => Joining::Never(Cover::without_cgroup(id.as_str())?),
            // The unit of systemd has a process of ours already.
            false if unit.is_some() || self.rootless.tolerates_missing_rules() => Joining::Early,
            false => Joining::of(&whole, &hooks, &cgroup),
        };
        let circumstances = Circumstances {
            rootfs: &bundle.rootfs,
            bundle: &bundle.dir,
            no_pivot: options.no_pivot,
            init_file: joining.cover().map(|_| dir.init_path()),
            cgroup_cover: joining.cover_to_lift().map(Path::to_owned),
            stand_in: dir.stand_in(),
        };
        let rootfs = mounts::hand_over(&mut spec, &typed, circumstances)?;

        let mut record = new_record(id, &bundle.dir, &bundle.rootfs, &spec, &cgroup)?;
        record.systemd_cgroup = self.systemd_cgroup;
        let gpus = self.gpus_of(grant.as_ref(), &spec, &rules)?;
        let mut granted_nodes = Vec::new();
        if let Some(grant) = grant {
            record.gpu_gids = self.gids_of(&grant);
            record.gpus = grant.gpus;
            granted_nodes = grant.edits.device_nodes;
        }
        let asked = match &unit {
            Some(_) => properties_of(&record.annotations).map_err(CgroupError::from)?,
            None => Vec::new(),
        };
        let reservation = self.reserve(&record, gpus)?;
        let mut limits = take_limits(&mut spec)?;
        if cgroup.is_none() && limits != Resources::default() {
            return Err(CgroupError::LimitsWithoutCgroup.into());
        }
        dir.save(&record)?;
        undo.watch(record.clone());
        // Dropped before `undo`, which waits for the processes that have it from this one.
        let at_work = dir.set_to_work()?;
        let causes = Causes::new().map_err(Error::system("memfd_create"))?;
        let state = HookState::of(&record, 0, "creating");
        let named = NamedNamespaces::take_from(&mut spec)?;
        let place = hooks::create::Place {
            rootfs: &bundle.rootfs,
            home: named.home(),
        };
        let of_create = hooks::create::told(&hooks, &state, place, causes.file())?;
        write_spec(&dir.spec_path(), &whole)?;
        if let Some(cover) = joining.cover() {
            spec["linux"]["cgroupsPath"] = json!(cover.told());
        }
        if let Some(dir) = cgroup.dirs().first().filter(|_| unit.is_some()) {
            tell_cgroup(&mut spec, dir);
        }
        write_spec(&dir.config_path(), &told(&spec, of_create))?;
        if let Some(filter) = &plan.filter {
            filter.write(&dir.filter_path())?;
        }
        // Those would count libcontainer's processes, too.
        let tasks = limits.take_tasks();
        let keeper = match &unit {
            Some(unit) => {
                let table = DeviceTable::of_container(&rules).map_err(DeviceCgroupError::from)?;
                let started = unit.start(asked, &limits, &table);
                Some(started.map_err(CgroupError::from)?)
            }
            None => {
                cgroup.make(limits.need_domain())?;
                None
            }
        };
        cgroup.set_limits(&limits, Unsupported::Warn)?;
        // Where it is an error that they cannot be written; else `enforce` tries, and warns.
        if !self.rootless.tolerates_missing_rules() {
            prepare(cgroup.dirs(), &rules)?;
        }

        let console = match &options.console_socket {
            Some(path) => {
                let failed = Error::system(format!("cannot connect to {path:?}"));
                Some(connect(path).map_err(failed)?)
            }
            None => None,
        };
        let rlimits = plan.rlimits.clone();
        let preserve_fds = plan.preserved;
        let start_hooks = hooks.at(When::StartContainer).to_vec();
        let init = Init::new(plan, start_hooks, state, &dir.agent_socket())
            .map_err(Error::system("cannot listen for the seccomp agent"))?;
        let init = init.with_terminal(console);
        let init = match &rootfs {
            Some(handover) => init.finishing(handover.finish()),
            None => init,
        };
        // Hooks that are run from this process stay where it is. To move there and back is
        // of use for the root of a cgroup namespace alone.
        let has_runtime_hooks = [When::Prestart, When::CreateRuntime]
            .iter()
            .any(|when| !hooks.at(*when).is_empty());
        let visit = match has_runtime_hooks || !has_new_namespace(&whole, "cgroup") {
            true => None,
            false => Some(Visit::enter(cgroup.visited())?),
        };
        let options_of_build = BuildOptions {
            no_pivot: options.no_pivot,
            preserve_fds,
            causes: &causes,
        };
        let hidden = joining.cover().map(Hidden::enter).transpose()?;
        let init = match &hidden {
            Some(hidden) => init.without(&hidden.descriptors()),
            None => init,
        };
        let by_init = rootfs.as_ref().and_then(Handover::by_init);
        let init = match by_init.zip(hidden.as_ref().and_then(Hidden::root)) {
            Some((root, host)) => init.making(root, host),
            None => init,
        };
        let stay = named.enter()?;
        let built = build(&dir, &options_of_build, init);
        drop(stay);
        let is_there = visit.is_some();
        drop(visit);
        drop(hidden);
        drop(keeper);
        let pid = built.map_err(|err| err.or_of(rootfs.as_ref()))?;
        let init = ProcessRef::of(pid)
            .ok_or_else(|| Error::Status(format!("container {id}: its init is gone")))?;
        drop(at_work);
        record.init = Some(init);
        // Empty before, the container's from here on, whoever made the directories.
        record.shared_dirs.clear();
        undo.watch(record.clone());
        let late = match joining {
            Joining::Late(_) => cgroup.dirs(),
            _ => &[],
        };
        let visited = if is_there { &[] } else { cgroup.visited() };
        for dir in late.iter().chain(visited) {
            join(dir, pid).map_err(Error::system(format!("cannot join cgroup {dir:?}")))?;
        }

        if self.rootless.tolerates_missing_cgroups() {
            must_be_in(&cgroup, pid, unit.as_ref())?;
        }
        if let Some(unit) = &unit {
            unit.set_limits(&tasks).map_err(CgroupError::from)?;
        }
        Cgroup::of(&record).set_limits(&tasks, Unsupported::Warn)?;
        loopback::bring_up(&spec, pid)?;
        reset_affinity(pid);
        set_limits(pid, &rlimits).map_err(|err| Error::Process(err.to_string()))?;
        self.check_nodes(pid, &granted_nodes)?;
        record.enforcement = self.enforce(id, pid, &rules, !granted_nodes.is_empty())?;
        record.nodes_only = record.enforcement.is_none();
        record.phase = Phase::Created;
        if let Some(path) = &options.pidfd_socket {
            let failed = Error::system(format!("cannot connect to {path:?}"));
            send_pidfd(&connect(path).map_err(failed)?, init, "standard")?;
        }
        write_pid(options.pid_file.as_deref(), init)?;
        dir.save(&record)?;
        self.hand_over(reservation, &record)?;
        undo.commit();
        Ok(init)
    }
}

/// The plan for the init of a container with this spec.
fn plan(spec: &Value, options: &CreateOptions) -> Result<Plan> {
    // Sockets of systemd are behind the standard streams, before what is preserved.
    let listen_fds = descriptors::listen_fds();
    let preserved = listen_fds + options.preserve_fds;
    descriptors::check_preserved(preserved).map_err(Error::Usage)?;
    let filter = match &spec["linux"]["seccomp"] {
        Value::Null => None,
        profile => Some(seccomp::compiled(profile)?),
    };
    let mut plan = Plan::new(&spec["process"], spec, filter)?;
    if listen_fds > 0 {
        plan.set_variable("LISTEN_FDS", &listen_fds.to_string());
        plan.set_variable("LISTEN_PID", "1");
    }
    Ok(plan.inheriting(preserved, options.give_stdio))
}

/// The device rules of a spec, checked, and written back in the one form that libcgroups
/// writes right: it passes on a wildcard of -1, as docker's `--device-cgroup-rule` has
/// it, to a kernel that refuses it (EINVAL), and an absent access as no access.
fn canonical_rules(spec: &mut Value) -> Result<Vec<DeviceRule>> {
    let devices = &mut spec["linux"]["resources"]["devices"];
    let rules = rules_from_spec(devices)?;
    // Rules that contradict each other are refused before anything is built.
    DeviceTable::of_container(&rules).map_err(DeviceCgroupError::from)?;
    *devices = rules.iter().map(|rule| rule.to_spec()).collect();
    Ok(rules)
}

fn check_terminal(terminal: bool, console_socket: bool) -> Result<()> {
    // runc's checkTerminal, word for word but for the name.
    match (terminal, console_socket) {
        (true, false) => Err(Error::Usage(
            "cannot allocate tty if the container will be detached without setting console socket"
                .into(),
        )),
        (false, true) => Err(Error::Usage(
            "cannot use console socket if the container will not detach or allocate tty".into(),
        )),
        _ => Ok(()),
    }
}

fn new_record(
    id: &ContainerId,
    bundle: &Path,
    rootfs: &Path,
    spec: &Value,
    cgroup: &Cgroup,
) -> Result<Record> {
    let annotations = spec.get("annotations").and_then(Value::as_object);
    let annotations: BTreeMap<String, String> = annotations
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let creator = ProcessRef::own()
        .ok_or_else(|| Error::Usage("/proc is not mounted: a container cannot be made".into()))?;
    Ok(Record {
        id: id.to_string(),
        phase: Phase::Creating,
        creator,
        init: None,
        bundle: bundle.to_owned(),
        rootfs: rootfs.to_owned(),
        oci_version: spec["ociVersion"].as_str().unwrap_or_default().to_owned(),
        annotations,
        created: Utc::now(),
        cgroups_path: cgroups_path(spec).into(),
        systemd_cgroup: false,
        own_pid_namespace: has_new_namespace(spec, "pid"),
        cgroup_dirs: cgroup.dirs().to_vec(),
        visited_dirs: cgroup.visited().to_vec(),
        shared_dirs: cgroup.existing(),
        gpus: Vec::new(),
        gpu_gids: Vec::new(),
        enforcement: None,
        nodes_only: false,
    })
}

/// Names a cgroup that systemd has made: libcontainer is told of no systemd.
fn tell_cgroup(spec: &mut Value, dir: &Path) {
    let root = libcgroups::common::DEFAULT_CGROUP_ROOT;
    let below = dir.strip_prefix(root).unwrap_or(dir);
    spec["linux"]["cgroupsPath"] = Path::new("/").join(below).to_string_lossy().into();
}

/// Writes a spec: the effective one, and what libcontainer is told of it, which it reads
/// from a file only (youki#2786). The caller's bundle is not ours to change.
fn write_spec(path: &Path, spec: &Value) -> Result<()> {
    let io = |source| Error::Io {
        what: "cannot write",
        path: path.to_owned(),
        source,
    };
    let json = serde_json::to_vec(spec).map_err(|err| io(err.into()))?;
    write_atomically(path, &json).map_err(io)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn wildcards_of_docker_become_what_the_kernel_takes() {
        let rule = json!({"allow": true, "type": "c", "major": 226, "minor": -1, "access": "rwm"});
        let mut spec = json!({"linux": {"resources": {"devices": [{"allow": false}, rule]}}});
        canonical_rules(&mut spec).unwrap();
        let rules = &spec["linux"]["resources"]["devices"];
        assert!(rules[1].get("minor").is_none_or(Value::is_null), "{rules}");
        assert_eq!(rules[0]["access"], "rwm");
    }

    #[test]
    fn a_terminal_and_a_socket_to_send_it_to_go_together() {
        assert!(check_terminal(true, true).is_ok());
        assert!(check_terminal(false, false).is_ok());
        assert!(check_terminal(true, false).is_err());
        assert!(check_terminal(false, true).is_err());
    }
}
