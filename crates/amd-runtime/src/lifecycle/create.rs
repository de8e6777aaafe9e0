//! `create`: from a bundle to a container whose program waits for `start`.

use std::path::Path;

use serde_json::{Value, json};

use super::agent::AwaitedFilter;
use super::born::build_at;
use super::build::{BuildOptions, Construction};
use super::causes::Causes;
use super::create_options::CreateOptions;
use super::devices::Devices;
use super::finish::Built;
use super::joining::Joining;
use super::limits::take_limits;
use super::named_namespaces::NamedNamespaces;
use super::settle::Settled;
use super::specs::{tell_cgroup, without_devices, write_spec};
use super::{ContainerId, Runtime};
use crate::additions::WithAdditions;
use crate::cgroup::CgroupError;
use crate::cgroup::birth::Birthplace;
use crate::cgroup::head_start::{self, HeadStart};
use crate::cgroup::resources::Resources;
use crate::cgroup::visit::Visit;
use crate::error::{Error, Result};
use crate::hooks::{self, HookState, Hooks, When};
use crate::keyring::join_session;
use crate::mounts::{self, Announcement, GrantedNodes, NodesToCome, Rootfs};
use crate::process::{Init, connect_to, descriptors, told, typed_spec};
use crate::spec::{Bundle, has_new_namespace};
use crate::state::ProcessRef;

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
        options.check_terminal(bundle.terminal())?;
        let mut settled = self.settle(id, bundle)?;
        let hooks = Hooks::of(&settled.spec)?;
        let joining = self.joining(&settled, &hooks)?;
        // Else it was begun as soon as this process was.
        let is_late = joining == Joining::Early && head_start::is_needless();
        let _head_start = is_late.then(HeadStart::take);
        // libcontainer reads it so, and would name a line of a file that nobody knows.
        let typed = typed_spec(&mut settled.spec)?;
        let rootfs = mounts::plan(
            &settled.spec,
            &typed,
            self.circumstances(&settled, &joining, options.no_pivot),
        )?;

        let mut record = self.new_record(&settled)?;
        record.without_late_hooks = hooks.are_early();
        let is_found_meanwhile = settled.can_find_devices_later()
            && matches!(joining, Joining::Born(_))
            && rootfs.as_ref().is_some_and(Rootfs::takes_late_nodes);
        let Settled {
            dir,
            mut undo,
            mut spec,
            rules,
            request,
            cgroup,
            unit,
            ..
        } = settled;
        let devices = match is_found_meanwhile {
            true => None,
            false => Some(self.take_devices(request.as_ref(), &mut spec, &rules, &mut record)?),
        };
        let plan = options.plan(&spec)?;
        if options.new_keyring {
            join_session(id, plan.selinux.as_deref().unwrap_or_default())?;
        }
        let additions = devices.as_ref().map(|devices| &devices.additions);
        let mut told_spec = without_devices(&mut spec, additions)?;
        // Those of the spec are run by us.
        told_spec["hooks"] = Value::Null;
        mounts::shorten_propagation(&mut told_spec);
        let (nodes, announcement) = match additions {
            Some(additions) => (GrantedNodes::Known(&additions.nodes), None),
            None => {
                let (nodes, announcement) = NodesToCome::new().map_err(Error::system("pipe"))?;
                (GrantedNodes::ToCome(nodes), Some(announcement))
            }
        };
        let handover = match rootfs {
            Some(rootfs) => Some(rootfs.hand_over(&mut told_spec, &typed, nodes)?),
            None => None,
        };
        let mut limits = take_limits(&mut told_spec)?;
        if cgroup.is_none() && limits != Resources::default() {
            return Err(CgroupError::LimitsWithoutCgroup.into());
        }
        dir.save(&record)?;
        undo.watch(record.clone());
        // Dropped before `undo`, which waits for the processes that have it from this one.
        let at_work = dir.set_to_work()?;
        let causes = Causes::new().map_err(Error::system("memfd_create"))?;
        let state = HookState::of(&record, 0, "creating");
        let named = NamedNamespaces::take_from(&mut told_spec)?;
        let place = hooks::create::Place {
            rootfs: &record.rootfs,
            home: named.home(),
        };
        let of_create = hooks::create::told(&hooks, &state, place, causes.file())?;
        if let Some(cover) = joining.cover() {
            told_spec["linux"]["cgroupsPath"] = json!(cover.told());
        }
        if let Some(dir) = cgroup.dirs().first().filter(|_| unit.is_some()) {
            tell_cgroup(&mut told_spec, dir);
        }
        write_spec(&dir.config_path(), &told(&told_spec, &of_create.hooks))?;
        if let Some(filter) = &plan.filter {
            filter.write(&dir.filter_path())?;
        }
        let is_born = matches!(joining, Joining::Born(_));
        let late_limits = limits.take_those_of_builders(is_born);
        let table = devices.as_ref().map(|devices| &devices.table);
        let keeper =
            self.make_cgroup(&cgroup, unit.as_ref(), &record.annotations, &limits, table)?;

        let console = options
            .console_socket
            .as_deref()
            .map(connect_to)
            .transpose()?;
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
        let visit = match has_runtime_hooks || !has_new_namespace(&spec, "cgroup") {
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
        let copy = announcement.as_ref().map(Announcement::descriptor);
        let construction = Construction {
            dir: &dir,
            options: options_of_build,
            joining: &joining,
            handover: handover.as_ref(),
            named,
            init,
        };
        let build = || {
            if let Some(copy) = copy {
                // The kernel releases it, whatever it says.
                let _ = descriptors::close(copy);
            }
            construction.run()
        };
        let meanwhile = || -> Result<Devices> {
            let mut devices = match devices {
                Some(devices) => devices,
                None => {
                    let devices =
                        self.take_devices(request.as_ref(), &mut spec, &rules, &mut record)?;
                    dir.save(&record)?;
                    devices
                }
            };
            if let Some(announcement) = announcement {
                announcement.tell(&devices.additions.nodes);
            }
            write_spec(&dir.spec_path(), &WithAdditions(&spec, &devices.additions))?;
            if is_born {
                devices.load_program();
            }
            Ok(devices)
        };
        let (built, devices) = match &birthplace {
            Some(birthplace) => build_at(birthplace, build, meanwhile)?,
            None => {
                let devices = meanwhile()?;
                (build(), Ok(devices))
            }
        };
        // Where there are none, that is why the build failed.
        let devices = devices?;
        let is_there = visit.is_some();
        drop(visit);
        drop(keeper);
        let pid = built.map_err(|err| err.or_of(handover.as_ref()))?;
        let init = ProcessRef::of(pid)
            .ok_or_else(|| Error::Status(format!("container {id}: its init is gone")))?;
        drop(at_work);
        let late = match joining {
            Joining::Late(_) => cgroup.dirs(),
            _ => &[],
        };
        let visited = if is_there { &[] } else { cgroup.visited() };
        let built = Built {
            dir: &dir,
            record,
            init,
            spec: &spec,
            cgroup: &cgroup,
            unit: unit.as_ref(),
            dirs_to_join: [late, visited].concat(),
            late_limits,
            awaited_filter,
            scheduling,
            rlimits,
            devices,
        };
        self.finish(built, &mut undo, options)?;
        undo.commit();
        Ok(init)
    }
}
