//! The transient unit of a container whose cgroup systemd makes (`--systemd-cgroup`, cgroup v2).
//!
//! libcontainer starts the unit and sets its limits. It sets no device rules (youki#3589) and calls
//! the unit by its own name, it forgets limits of an `update`, and it leaves a failed unit behind.
//! Here the unit gets what runc gives it: so `systemctl daemon-reload`, after which systemd writes
//! anew what it knows of a unit, changes nothing.

mod bus;
mod properties;

use std::path::Path;

use self::bus::{Bus, Value};
use super::resources::Resources;
use crate::device_cgroup::DeviceTable;

pub use self::bus::BusError;
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
}

impl Unit {
    /// The unit that a `linux.cgroupsPath` names; `None` where it is not of that form.
    pub fn of(cgroups_path: &Path) -> Option<Self> {
        let mut parts = cgroups_path.to_str()?.split(':');
        let (slice, prefix, name) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || name.is_empty() || name.contains('/') {
            return None;
        }
        Some(Self {
            name: match name.ends_with(".slice") {
                true => name.to_owned(),
                false => format!("{prefix}-{name}.scope"),
            },
            slice: match slice {
                "" => "system.slice".to_owned(),
                slice => slice.to_owned(),
            },
            description: format!("libcontainer container {name}"),
        })
    }

    /// Tells systemd the device rules of the container and what the unit is.
    ///
    /// # Errors
    /// Where systemd cannot be reached or refuses.
    pub fn set_devices(&self, table: &DeviceTable) -> Result<(), BusError> {
        let mut all = of_devices(table);
        all.push(Property::new(
            "Description",
            Value::from(self.description.as_str()),
        ));
        self.set(all)
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
        Bus::connect()?.call(
            "SetUnitProperties",
            &[
                self.name.as_str().into(),
                runtime_only.into(),
                Value::Properties(properties),
            ],
        )
    }

    /// Removes the unit, one that failed included. One that is gone is no error.
    ///
    /// # Errors
    /// Where systemd cannot be reached or refuses.
    pub fn remove(&self) -> Result<(), BusError> {
        let mut bus = Bus::connect()?;
        let name = || Value::from(self.name.as_str());
        let stopped = bus.call("StopUnit", &[name(), "replace".into()]);
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
}
