//! Which GPUs a container can use, on record for everybody on the host, and none of them one that
//! is for another container alone.
//!
//! A container has the GPUs that it was granted, and also those whose DRM nodes its spec has: an
//! engine puts them there for `--device` and for CDI devices, all of them for `--privileged`. And it
//! has those that a rule of its spec lets it open, as docker's `--device-cgroup-rule` does: it can
//! make a node, or be given one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use discovery::Inventory;
use gpu_tracker::{GrantedGpu, Reservation, Tracker};
use serde_json::Value;

use super::Runtime;
use super::grant::Grant;
use crate::device_cgroup::{Access, DeviceKind, DeviceRule, DeviceTable, NodeKind};
use crate::error::{Error, Result};
use crate::state::Record;

/// Major number of DRM nodes (Linux, `include/drm/drm_device.h`, `DRM_MAJOR`).
const DRM_MAJOR: u32 = 226;

impl Runtime {
    fn tracker(&self) -> Tracker {
        Tracker::new(self.host.clone())
    }

    /// The GPUs of a container with this grant and effective spec, of whose devices `rules` are the
    /// spec's and `table` all: those that it was granted, that its spec has a node of, and that its
    /// rules let it open, by a node that it makes.
    ///
    /// # Errors
    /// Where the spec has DRM devices beside the granted ones, it cannot be found out whose they
    /// are, and the tracker is on.
    pub(super) fn gpus_of(
        &self,
        grant: Option<&Grant>,
        spec: &Value,
        rules: &[DeviceRule],
        table: &DeviceTable,
    ) -> Result<Vec<GrantedGpu>> {
        let granted = grant.map_or_else(Vec::new, |grant| grant.gpus.clone());
        let nodes = drm_nodes(spec);
        let of_grant = || -> BTreeSet<u32> {
            let nodes = grant.iter().flat_map(|grant| &grant.edits.device_nodes);
            let of_drm = nodes.filter(|node| node.major == DRM_MAJOR);
            of_drm.map(|node| node.minor).collect()
        };
        if !may_have_others(&nodes, rules, of_grant) {
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
        let is_its = |minor: u32| nodes.contains(&minor) || opens_drm(table, minor);
        let all = inventory
            .gpus
            .iter()
            .map(|gpu| (GrantedGpu::from(gpu), gpu));
        Ok(all
            .filter(|(known, gpu)| {
                gpu.drm_minors().any(is_its) || granted.iter().any(|own| own.slot() == known.slot())
            })
            .map(|(known, _)| known)
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

/// The DRM nodes of a spec, by their minors.
fn drm_nodes(spec: &Value) -> BTreeSet<u32> {
    let number = |device: &Value, key| {
        let number = device.get(key).and_then(Value::as_u64)?;
        u32::try_from(number).ok()
    };
    let devices = spec.pointer("/linux/devices").and_then(Value::as_array);
    devices
        .into_iter()
        .flatten()
        .filter(|device| matches!(device["type"].as_str(), Some("c" | "u")))
        .filter(|device| number(device, "major") == Some(DRM_MAJOR))
        .filter_map(|device| number(device, "minor"))
        .collect()
}

/// Whether a container with these nodes and rules can have DRM devices beside those of `grant`: what
/// a look at the rules one by one tells. `grant` is asked where there is anything to look up.
fn may_have_others(
    nodes: &BTreeSet<u32>,
    rules: &[DeviceRule],
    grant: impl FnOnce() -> BTreeSet<u32>,
) -> bool {
    let opens = |rule: &&DeviceRule| {
        let is_drm = match rule.kind {
            DeviceKind::All => true,
            DeviceKind::Char => rule.major.is_none_or(|major| major == DRM_MAJOR),
            DeviceKind::Block => false,
        };
        is_drm && rule.allow && rule.access.intersects(Access::READ | Access::WRITE)
    };
    let allowed = rules.iter().filter(opens).map(|rule| match rule.kind {
        DeviceKind::All => None,
        _ => rule.minor,
    });
    let mut named = nodes.iter().copied().map(Some).chain(allowed).peekable();
    if named.peek().is_none() {
        return false;
    }
    let grant = grant();
    named.any(|minor| minor.is_none_or(|minor| !grant.contains(&minor)))
}

fn opens_drm(table: &DeviceTable, minor: u32) -> bool {
    let allows = |access| table.allows(NodeKind::Char, DRM_MAJOR, minor, access);
    allows(Access::READ) || allows(Access::WRITE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::device_cgroup::rules_from_spec;

    fn node(kind: &str, major: u32, minor: u32) -> Value {
        json!({"path": "/dev/x", "type": kind, "major": major, "minor": minor})
    }

    #[test]
    fn nodes_of_drm_devices_count() {
        let nodes = [
            node("c", 226, 128),
            node("u", 226, 1),
            node("b", 226, 5),
            node("c", 1, 3),
        ];
        let spec = json!({"linux": {"devices": nodes}});
        assert_eq!(drm_nodes(&spec), BTreeSet::from([1, 128]));
        assert!(drm_nodes(&json!({})).is_empty());
    }

    #[test]
    fn rules_that_let_a_container_open_what_it_was_not_granted_are_looked_into() {
        let rule = |kind: &str, major: Value, minor: Value, access: &str| json!({"allow": true, "type": kind, "major": major, "minor": minor, "access": access});
        let any = json!(null);
        for (rule, has_others) in [
            (rule("c", json!(226), json!(129), "rw"), true),
            (rule("c", json!(226), json!(130), "r"), false),
            (rule("c", json!(226), any.clone(), "r"), true),
            (rule("c", json!(-1), json!(129), "w"), true),
            (rule("c", any.clone(), any.clone(), "rwm"), true),
            (json!({"allow": true, "access": "rwm"}), true),
            (rule("c", json!(226), json!(129), "m"), false),
            (rule("c", any.clone(), any.clone(), "m"), false),
            (rule("b", any.clone(), any.clone(), "rwm"), false),
            (rule("c", json!(1), any.clone(), "rwm"), false),
        ] {
            let rules = rules_from_spec(&json!([{"allow": false, "access": "rwm"}, rule])).unwrap();
            let granted = || BTreeSet::from([130]);
            let found = may_have_others(&BTreeSet::new(), &rules, granted);
            assert_eq!(found, has_others, "{rule}");
        }
        let granted = || BTreeSet::from([1, 128]);
        assert!(!may_have_others(&granted(), &[], granted));
        assert!(may_have_others(&BTreeSet::from([2]), &[], granted));
    }
}
