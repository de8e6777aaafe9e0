//! Which GPUs a container can use, on record for everybody on the host, and none of them one that
//! is for another container alone.
//!
//! A container has the GPUs that it was granted, and also those whose DRM nodes its spec names: an
//! engine puts them there for `--device` and for CDI devices, all of them for `--privileged`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use discovery::Inventory;
use gpu_tracker::{GrantedGpu, Reservation, Tracker};
use serde_json::Value;

use super::Runtime;
use super::grant::Grant;
use crate::device_cgroup::{Access, DeviceKind, DeviceRule};
use crate::error::{Error, Result};
use crate::state::Record;

/// Major number of DRM nodes (Linux, `include/drm/drm_device.h`, `DRM_MAJOR`).
const DRM_MAJOR: u32 = 226;

impl Runtime {
    fn tracker(&self) -> Tracker {
        Tracker::new(self.host.clone())
    }

    /// The GPUs of a container with this grant, effective spec and device rules: those of its spec,
    /// before those that the grant adds.
    ///
    /// # Errors
    /// Where the spec names DRM nodes beside the granted ones, it cannot be found out whose they
    /// are, and the tracker is on.
    pub(super) fn gpus_of(
        &self,
        grant: Option<&Grant>,
        spec: &Value,
        rules: &[DeviceRule],
    ) -> Result<Vec<GrantedGpu>> {
        let granted = grant.map_or_else(Vec::new, |grant| grant.gpus.clone());
        let named = drm_minors(spec, rules);
        if named.is_empty() {
            return Ok(granted);
        }
        let of_grant: BTreeSet<u32> = grant
            .iter()
            .flat_map(|grant| &grant.edits.device_nodes)
            .filter(|node| node.major == DRM_MAJOR)
            .map(|node| node.minor)
            .collect();
        if named
            .iter()
            .all(|minor| minor.is_some_and(|minor| of_grant.contains(&minor)))
        {
            return Ok(granted);
        }
        let inventory = match Inventory::identify(&self.host) {
            Ok(inventory) => inventory,
            Err(error) if !self.tracker().is_enabled()? => {
                tracing::warn!("the GPUs of the spec are not on record: {error}");
                return Ok(granted);
            }
            Err(error) => return Err(error.into()),
        };
        let is_named = |gpu: &GrantedGpu, of: &discovery::Gpu| {
            let by_node = named
                .iter()
                .any(|minor| minor.is_none_or(|minor| of.has_drm_minor(minor)));
            by_node || granted.iter().any(|own| own.slot() == gpu.slot())
        };
        Ok(inventory
            .gpus
            .iter()
            .map(|gpu| (GrantedGpu::from(gpu), gpu))
            .filter(|(granted, gpu)| is_named(granted, gpu))
            .map(|(granted, _)| granted)
            .collect())
    }

    /// Puts the GPUs of a container that is about to be built on record: all of them, or an
    /// error. `None` where it has none.
    ///
    /// # Errors
    /// Where one of them is for another container alone.
    pub(super) fn reserve(
        &self,
        record: &Record,
        gpus: Vec<GrantedGpu>,
    ) -> Result<Option<Reservation>> {
        if gpus.is_empty() {
            return Ok(None);
        }
        let reservation = Reservation {
            id: record.id.clone(),
            root: self.absolute_root()?,
            gpus,
            process: record.creator,
            cgroups: Vec::new(),
            since: record.created,
            bundle: record.bundle.clone(),
            rootfs: record.rootfs.clone(),
            image: Reservation::image_of(&record.annotations),
        };
        self.take(&reservation)?;
        Ok(Some(reservation))
    }

    /// Hands the GPUs of a container over from the `create` that built it to its init.
    ///
    /// After the record says that the container is created: a create that is killed holds
    /// nothing, at whatever step. See [`Self::check_reserved`] for one that is killed in between.
    ///
    /// # Errors
    /// Where the reservation cannot be written.
    pub(super) fn hand_over(
        &self,
        reservation: Option<Reservation>,
        record: &Record,
    ) -> Result<()> {
        let Some(mut reservation) = reservation else {
            return Ok(());
        };
        match record.init {
            Some(init) if record.own_pid_namespace => {
                self.tracker().hand_over(reservation, init)?
            }
            _ => {
                settle(&mut reservation, record);
                self.tracker().update(&reservation)?;
            }
        }
        Ok(())
    }

    /// Sees to it that a container that is about to run has its GPUs: one whose `create` was
    /// killed before it handed them over asks for them again.
    ///
    /// # Errors
    /// Where one of them is another container's by now.
    pub(super) fn check_reserved(&self, record: &Record) -> Result<()> {
        let (tracker, root) = (self.tracker(), self.absolute_root()?);
        if record.init.is_some() && tracker.handed_over_to(&root, &record.id) == record.init {
            return Ok(());
        }
        let Some(mut reservation) = tracker.reservation(&root, &record.id)? else {
            return Ok(());
        };
        if record.init == Some(reservation.process) || reservation.process != record.creator {
            return Ok(());
        }
        settle(&mut reservation, record);
        self.take(&reservation)
    }

    /// Takes the GPUs of a reservation, or such of them as a container gets that nobody finds.
    fn take(&self, reservation: &Reservation) -> Result<()> {
        let taken = match self.rootless.tolerates_missing_rules() {
            true => self.tracker().reserve_unseen(reservation),
            false => self.tracker().reserve(reservation),
        };
        Ok(taken?)
    }

    fn absolute_root(&self) -> Result<PathBuf> {
        let root: &Path = self.root.path();
        std::path::absolute(root).map_err(Error::system("cannot find the current directory"))
    }
}

/// The processes of a container that was built: where it has no PID namespace of its own, its
/// init is not the last of them.
fn settle(reservation: &mut Reservation, record: &Record) {
    if let Some(init) = record.init {
        reservation.process = init;
    }
    if !record.own_pid_namespace {
        reservation.cgroups.clone_from(&record.cgroup_dirs);
    }
}

/// The DRM nodes that a container can use by its spec, by their minors; `None` is any of them.
///
/// What `linux.devices` has is there for it, and what a rule for the major of DRM allows it can
/// make. A rule that allows every device names none: engines write it for privileged containers,
/// with all nodes.
fn drm_minors(spec: &Value, rules: &[DeviceRule]) -> BTreeSet<Option<u32>> {
    let number = |device: &Value, key| {
        let number = device.get(key).and_then(Value::as_u64)?;
        u32::try_from(number).ok()
    };
    let devices = spec.pointer("/linux/devices").and_then(Value::as_array);
    let nodes = devices
        .into_iter()
        .flatten()
        .filter(|device| matches!(device["type"].as_str(), Some("c" | "u")))
        .filter(|device| number(device, "major") == Some(DRM_MAJOR))
        .filter_map(|device| number(device, "minor"))
        .map(Some);
    let opened = Access::READ | Access::WRITE;
    let allowed = rules
        .iter()
        .filter(|rule| rule.allow && rule.kind == DeviceKind::Char)
        .filter(|rule| rule.major == Some(DRM_MAJOR) && rule.access.intersects(opened))
        .map(|rule| rule.minor);
    nodes.chain(allowed).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::device_cgroup::rules_from_spec;

    fn minors(devices: Value, rules: Value) -> Vec<Option<u32>> {
        let spec = json!({"linux": {"devices": devices}});
        let rules = rules_from_spec(&rules).unwrap();
        drm_minors(&spec, &rules).into_iter().collect()
    }

    #[test]
    fn nodes_and_rules_of_drm_devices_count() {
        let node = |kind: &str, major: u32, minor: u32| json!({"path": "/dev/x", "type": kind, "major": major, "minor": minor});
        let nodes = json!([
            node("c", 226, 128),
            node("u", 226, 1),
            node("b", 226, 5),
            node("c", 1, 3)
        ]);
        assert_eq!(minors(nodes, json!([])), [Some(1), Some(128)]);
        let rule = |allow: bool, major: Value, minor: Value, access: &str| json!({"allow": allow, "type": "c", "major": major, "minor": minor, "access": access});
        let rules = json!([
            {"allow": false, "access": "rwm"},
            rule(true, json!(226), json!(129), "rw"),
            rule(false, json!(226), json!(129), "rw"),
            rule(true, json!(226), json!(130), "m"),
            rule(true, json!(null), json!(null), "m"),
        ]);
        assert_eq!(minors(json!([]), rules), [Some(129)]);
        let any = json!([rule(true, json!(226), json!(-1), "r")]);
        assert_eq!(minors(json!([]), any), [None]);
        assert_eq!(
            minors(json!(null), json!([{"allow": true, "access": "rwm"}])),
            []
        );
    }
}
