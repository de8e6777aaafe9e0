//! `create`: from a bundle to a container whose program waits for `start`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::agent::AwaitedFilter;
use super::born::build_at;
use super::build::{BuildOptions, build};
use super::causes::Causes;
use super::joining::Joining;
use super::limits::take_limits;
use super::loopback;
use super::named_namespaces::NamedNamespaces;
use super::rights::must_be_in;
use super::settle::{OnRecord, Settled};
use super::specs::{tell_cgroup, without_devices, write_spec};
use super::{ContainerId, Runtime, write_pid};
use crate::additions::WithAdditions;
use crate::cgroup::birth::Birthplace;
use crate::cgroup::head_start::{self, HeadStart};
use crate::cgroup::hidden::{Cover, Hidden};
use crate::cgroup::resources::{Resources, Unsupported};
use crate::cgroup::visit::{Visit, join};
use crate::cgroup::{Cgroup, CgroupError};
use crate::error::{Error, Result, chain};
use crate::hooks::{self, HookState, Hooks, When};
use crate::keyring::join_session;
use crate::mounts::{self, Circumstances, Handover};
use crate::process::exec::send_pidfd;
use crate::process::{
    Init, Plan, connect, descriptors, reset_affinity_of_init, set_limits, told, typed_spec,
};
use crate::seccomp;
use crate::spec::{Bundle, has_new_namespace};
use crate::state::{Liveness, Phase, ProcessRef};

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
    /// Whether this process, and so the container, is to have a session keyring of the container's:
    /// for programs with keys that it must not see.
    pub new_keyring: bool,
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
        let mut settled = self.settle(id, bundle)?;
        let plan = plan(&settled.spec, options)?;
        if options.new_keyring {
            join_session(id, plan.selinux.as_deref().unwrap_or_default())?;
        }
        let hooks = Hooks::of(&settled.spec)?;
        // libcontainer reads it so, and would name a line of a file that nobody knows.
        let typed = typed_spec(&mut settled.spec)?;
        let rest = without_devices(&mut settled.spec, &settled.additions)?;
        let whole = std::mem::replace(&mut settled.spec, rest);
        // Those of the spec are run by us.
        settled.spec["hooks"] = Value::Null;
        let joining = match settled.cgroup.is_none() {
            true => Joining::Never(Cover::without_cgroup(id.as_str())?),
            false if self.rootless.tolerates_missing_rules() => Joining::Early,
            false => Joining::of(&whole, &hooks, &settled.cgroup, settled.unit.is_some()),
        };
        // Else it was begun as soon as this process was.
        let is_late = joining == Joining::Early && head_start::is_needless();
        let _head_start = is_late.then(HeadStart::take);
        let circumstances = Circumstances {
            rootfs: &settled.rootfs,
            bundle: &settled.bundle,
            granted_nodes: &settled.additions.nodes,
            no_pivot: options.no_pivot,
            init_file: joining.cover().map(|_| settled.dir.init_path()),
            cgroup_cover: joining.cover_to_lift().map(Path::to_owned),
            // Others may be able to make a cgroup, and not to move a process of theirs there.
            cgroup_dirs: match &joining {
                Joining::Born(_) => Vec::new(),
                _ if self.rootless.tolerates_missing_rules() => Vec::new(),
                _ => settled.cgroup.dirs().to_vec(),
            },
            stand_in: settled.dir.stand_in(),
        };
        let handover = mounts::hand_over(&mut settled.spec, &typed, circumstances)?;

        let OnRecord {
            mut record,
            granted_nodes,
            reservation,
            unit_properties,
        } = self.put_on_record(&mut settled)?;
        record.without_late_hooks = hooks.are_early();
        let Settled {
            dir,
            mut undo,
            mut spec,
            additions,
            table,
            cgroup,
            unit,
            ..
        } = settled;
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
            rootfs: &record.rootfs,
            home: named.home(),
        };
        let of_create = hooks::create::told(&hooks, &state, place, causes.file())?;
        write_spec(&dir.spec_path(), &WithAdditions(&whole, &additions))?;
        if let Some(cover) = joining.cover() {
            spec["linux"]["cgroupsPath"] = json!(cover.told());
        }
        if let Some(dir) = cgroup.dirs().first().filter(|_| unit.is_some()) {
            tell_cgroup(&mut spec, dir);
        }
        write_spec(&dir.config_path(), &told(&spec, &of_create.hooks))?;
        if let Some(filter) = &plan.filter {
            filter.write(&dir.filter_path())?;
        }
        let is_born = matches!(joining, Joining::Born(_));
        let late_limits = limits.take_those_of_builders(is_born);
        let keeper = self.make_cgroup(&cgroup, unit.as_ref(), unit_properties, &limits, &table)?;

        let console = match &options.console_socket {
            Some(path) => {
                let failed = Error::system(format!("cannot connect to {path:?}"));
                Some(connect(path).map_err(failed)?)
            }
            None => None,
        };
        let rlimits = plan.rlimits.clone();
        let scheduling = plan.scheduling.clone();
        let preserve_fds = plan.preserved;
        let start_hooks = hooks.at(When::StartContainer).to_vec();
        let (awaited_filter, early_filter) = AwaitedFilter::of(&plan, &dir)?.unzip();
        let init = Init::new(plan, start_hooks, state)
            .with_early_filter(early_filter)
            .with_terminal(console);
        let init = match &handover {
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
        let birthplace = match cgroup.dirs() {
            [dir, ..] if is_born => Some(Birthplace::open(dir)?),
            _ => None,
        };
        let hidden = joining.cover().map(Hidden::enter).transpose()?;
        let init = match &hidden {
            Some(hidden) => init.without(&hidden.descriptors()),
            None => init,
        };
        let by_init = handover.as_ref().and_then(Handover::by_init);
        let init = match by_init.zip(hidden.as_ref().map(Hidden::root)) {
            Some((root, host)) => init.making(root, host),
            None => init,
        };
        let stay = named.enter()?;
        let build = || build(&dir, &options_of_build, init);
        let built = match &birthplace {
            Some(birthplace) => build_at(birthplace, build),
            None => Ok(build()),
        };
        drop(stay);
        let is_there = visit.is_some();
        drop(visit);
        drop(hidden);
        drop(keeper);
        let pid = built?.map_err(|err| err.or_of(handover.as_ref()))?;
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
        // As long as its cgroup has room for another thread.
        if let Some(filter) = awaited_filter {
            filter.pass_on(&dir, &mut record)?;
        }
        if self.rootless.tolerates_missing_cgroups() {
            must_be_in(&cgroup, pid, unit.as_ref())?;
        }
        if let Some(unit) = &unit {
            unit.set_limits(&late_limits).map_err(CgroupError::from)?;
        }
        Cgroup::of(&record).set_limits(&late_limits, Unsupported::Warn)?;
        loopback::bring_up(&spec, pid).map_err(|err| match init.liveness() {
            // Its /proc/PID/ns has nothing in it.
            Liveness::Zombie | Liveness::Gone => Error::Process(format!(
                "container init exited prematurely: {}",
                chain(&err)
            )),
            _ => err,
        })?;
        reset_affinity_of_init(pid, &scheduling).map_err(|err| Error::Process(err.to_string()))?;
        set_limits(pid, &rlimits).map_err(|err| Error::Process(err.to_string()))?;
        self.check_nodes(pid, &granted_nodes)?;
        record.enforcement = self.enforce(id, pid, &table, !granted_nodes.is_empty())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_and_a_socket_to_send_it_to_go_together() {
        assert!(check_terminal(true, true).is_ok());
        assert!(check_terminal(false, false).is_ok());
        assert!(check_terminal(true, false).is_err());
        assert!(check_terminal(false, true).is_err());
    }
}
