//! The transient unit of a container whose cgroup systemd makes (`--systemd-cgroup`, cgroup v2).
//!
//! libcontainer's own driver sets no device rules (youki#3589), calls the unit by a name of its
//! own, starts it with the container's process already in it, forgets limits of an `update`, and
//! leaves a failed unit behind. So it is not used: the unit is started here, as runc has it, before
//! the container, and libcontainer is told of a cgroup that is there. What the unit knows of
//! devices and limits is what is in force: so `systemctl daemon-reload`, after which systemd writes
//! anew what it knows of a unit, changes nothing.

mod annotations;
mod bus;
mod gvariant;
mod keeper;
mod manager;
mod properties;
mod wire;

use std::path::{Path, PathBuf};

use self::bus::Bus;
use self::manager::Manager;
use self::wire::Value;
use super::resources::Resources;
use crate::device_cgroup::DeviceTable;

pub use self::annotations::{AnnotationError, properties_of};
pub use self::bus::BusError;
pub use self::keeper::Keeper;
pub use self::properties::{Property, of_devices, of_limits};

/// A unit by the parts of `linux.cgroupsPath`, `SLICE:PREFIX:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Name of the unit: `PREFIX-NAME.scope`, or NAME where that is a slice.
    pub name: String,
    /// Name of the slice that it is in.
    pub slice: String,
    /// For people, as runc words it.
    pub description: String,
    /// Who makes it.
    manager: Manager,
}

impl Unit {
    /// The unit that a `linux.cgroupsPath` names; `None` where it is not of that form.
    pub fn of(cgroups_path: &Path) -> Option<Self> {
        let mut parts = cgroups_path.to_str()?.split(':');
        let (slice, prefix, name) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || name.is_empty() || name.contains('/') {
            return None;
        }
        let manager = Manager::of_caller();
        Some(Self {
            name: match name.ends_with(".slice") {
                true => name.to_owned(),
                false => format!("{prefix}-{name}.scope"),
            },
            slice: match slice {
                "" => manager.default_slice().to_owned(),
                slice => slice.to_owned(),
            },
            description: format!("libcontainer container {name}"),
            manager,
        })
    }

    /// The directory of its cgroup, where systemd will make it: a slice is below those that its
    /// name begins with (systemd.slice(5)). `None` where the slice has no proper name.
    ///
    /// # Errors
    /// Where the systemd of this user cannot be reached.
    pub fn dir(&self) -> Result<Option<PathBuf>, BusError> {
        let Some(below) = self.below_manager() else {
            return Ok(None);
        };
        let root = Path::new(libcgroups::common::DEFAULT_CGROUP_ROOT);
        Ok(Some(root.join(self.manager.cgroup()?).join(below)))
    }

    fn below_manager(&self) -> Option<PathBuf> {
        let name = self.slice.strip_suffix(".slice")?;
        let mut path = PathBuf::new();
        if name != "-" {
            let dashes = name.match_indices('-').map(|(at, _)| at);
            for end in dashes.chain([name.len()]) {
                path.push(format!("{}.slice", &name[..end]));
            }
            let is_proper = |part: &str| !part.is_empty() && !part.contains('/');
            if !name.split('-').all(is_proper) {
                return None;
            }
        }
        Some(path.join(&self.name))
    }

    /// Whether it is a slice: systemd keeps no processes in one.
    pub fn is_slice(&self) -> bool {
        self.name.ends_with(".slice")
    }

    /// Starts the unit, with the properties that were `asked` for, and these limits and device
    /// rules, which come after them. It is there, and in force, until the keeper is dropped, or the
    /// last process that was put into its cgroup has ended.
    ///
    /// # Errors
    /// Where systemd cannot be reached or refuses, as it does where there is such a unit.
    pub fn start(
        &self,
        asked: Vec<Property>,
        limits: &Resources,
        table: &DeviceTable,
    ) -> Result<Keeper, BusError> {
        let keeper = Keeper::start()?;
        let mut bus = Bus::connect(&self.manager)?;
        // One that failed is in the way of another.
        if self.manager.file_of(&self.name).exists() {
            let _ = bus.call("ResetFailedUnit", &[self.name.as_str().into()]);
        }
        let mut properties = self.properties(keeper.pid());
        properties.extend(asked);
        if self.manager.enforces_devices() {
            properties.extend(of_devices(table));
        }
        properties.extend(of_limits(limits));
        bus.run_job(
            "StartTransientUnit",
            &[
                self.name.as_str().into(),
                "replace".into(),
                Value::Properties(properties),
                Value::NoUnits,
            ],
            &self.name,
        )?;
        Ok(keeper)
    }

    /// What the unit is, as runc has it.
    fn properties(&self, pid: u32) -> Vec<Property> {
        vec![
            Property::new("Description", self.description.as_str()),
            Property::new("Slice", self.slice.as_str()),
            Property::new("Delegate", true),
            Property::new("PIDs", Value::Pids(vec![pid])),
            Property::new("MemoryAccounting", true),
            Property::new("CPUAccounting", true),
            Property::new("IOAccounting", true),
            Property::new("TasksAccounting", true),
            Property::new("DefaultDependencies", false),
        ]
    }

    /// Tells systemd the limits of an update.
    ///
    /// # Errors
    /// Where systemd cannot be reached or refuses.
    pub fn set_limits(&self, limits: &Resources) -> Result<(), BusError> {
        match of_limits(limits) {
            none if none.is_empty() => Ok(()),
            properties => self.set(properties),
        }
    }

    fn set(&self, properties: Vec<Property>) -> Result<(), BusError> {
        let runtime_only = true;
        Bus::connect(&self.manager)?.call(
            "SetUnitProperties",
            &[
                self.name.as_str().into(),
                runtime_only.into(),
                Value::Properties(properties),
            ],
        )
    }

    /// Lets systemd put a process into the unit's cgroup, for a caller who may not.
    ///
    /// # Errors
    /// Where systemd cannot be reached or refuses.
    pub fn attach(&self, pid: u32) -> Result<(), BusError> {
        let own_cgroup = "";
        Bus::connect(&self.manager)?.call(
            "AttachProcessesToUnit",
            &[
                self.name.as_str().into(),
                own_cgroup.into(),
                Value::Pids(vec![pid]),
            ],
        )
    }

    /// Removes the unit, one that failed included, and waits until it is gone. One that is gone
    /// already is no error. Its processes should be: systemd would ask them first.
    ///
    /// # Errors
    /// Where systemd cannot be reached or refuses.
    pub fn remove(&self) -> Result<(), BusError> {
        if !self.manager.file_of(&self.name).exists() {
            return Ok(());
        }
        let mut bus = Bus::connect(&self.manager)?;
        let name = || Value::from(self.name.as_str());
        let stopped = bus.run_job("StopUnit", &[name(), "replace".into()], &self.name);
        let reset = bus.call("ResetFailedUnit", &[name()]);
        [stopped, reset]
            .into_iter()
            .find(|done| done.as_ref().is_err_and(|err| !err.is_no_such_unit()))
            .unwrap_or(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_named_as_runc_names_it() {
        for (path, name, slice) in [
            (
                "system.slice:docker:0123",
                "docker-0123.scope",
                "system.slice",
            ),
            (
                ":cri-containerd:ab",
                "cri-containerd-ab.scope",
                "system.slice",
            ),
            (
                "kubepods-besteffort.slice:crio:x",
                "crio-x.scope",
                "kubepods-besteffort.slice",
            ),
            ("a.slice:p:b.slice", "b.slice", "a.slice"),
        ] {
            let unit = Unit::of(Path::new(path)).unwrap();
            assert_eq!(unit.is_slice(), name.ends_with(".slice"), "{path}");
            assert_eq!(
                (unit.name.as_str(), unit.slice.as_str()),
                (name, slice),
                "{path}"
            );
        }
        let unit = Unit::of(Path::new("system.slice:docker:0123")).unwrap();
        assert_eq!(unit.description, "libcontainer container 0123");
        for path in ["", "/docker/abc", "a:b", "a:b:", "a:b:c:d", "a:b:../c"] {
            assert_eq!(Unit::of(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn its_cgroup_is_below_all_slices_that_its_slice_is_in() {
        for (path, dir) in [
            (":docker:1", Some("system.slice/docker-1.scope")),
            ("-.slice:docker:1", Some("docker-1.scope")),
            (
                "a-b-c.slice:p:1",
                Some("a.slice/a-b.slice/a-b-c.slice/p-1.scope"),
            ),
            ("a--b.slice:p:1", None),
            (".slice:p:1", None),
            ("a:p:1", None),
            ("a/b.slice:p:1", None),
            ("-a.slice:p:1", None),
        ] {
            let unit = Unit::of(Path::new(path)).unwrap();
            assert_eq!(unit.below_manager(), dir.map(PathBuf::from), "{path}");
        }
    }

    #[test]
    fn it_is_what_runc_makes_of_it() {
        let unit = Unit::of(Path::new("a.slice:docker:1")).unwrap();
        let properties = unit.properties(7);
        for (name, value) in [
            ("Description", "libcontainer container 1".into()),
            ("Slice", "a.slice".into()),
            ("Delegate", true.into()),
            ("PIDs", Value::Pids(vec![7])),
            ("DefaultDependencies", false.into()),
        ] {
            let property = Property::new(name, value);
            assert!(properties.contains(&property), "{property:?}");
        }
    }
}
