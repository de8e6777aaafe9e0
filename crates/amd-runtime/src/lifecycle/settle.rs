//! What `create` and `restore` have in common: from a bundle to a container that has its id, its
//! GPUs and the place of its cgroup, all of it on record, and nothing built.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::Utc;
use discovery::edits::DeviceNode;
use gpu_tracker::Reservation;
use libcgroups::common::{CgroupSetup, get_cgroup_setup};
use serde_json::Value;

use super::grant::Grant;
use super::undo::{Undo, recover};
use super::{ContainerId, Runtime};
use crate::additions::Additions;
use crate::cgroup::resources::{Resources, Unsupported};
use crate::cgroup::systemd::{Keeper, Property, Unit, properties_of};
use crate::cgroup::{Cgroup, CgroupError};
use crate::device_cgroup::{DeviceCgroupError, DeviceRule, DeviceTable, prepare, rules_from_spec};
use crate::error::{Error, Result};
use crate::inject::additions;
use crate::mounts::cgroup_v1::show_own_v1;
use crate::request;
use crate::rootless::translate_mappings;
use crate::spec::effective::{cgroups_path, effective};
use crate::spec::{Bundle, has_new_namespace};
use crate::state::{ContainerDir, GpusOnRecord, Phase, ProcessRef, Record};

/// A container before it is built. Dropping it undoes what was done.
pub(super) struct Settled {
    pub dir: ContainerDir,
    pub undo: Undo,
    /// The effective spec, but for the nodes and rules of GPUs.
    pub spec: Value,
    /// Those.
    pub additions: Additions,
    /// What the container may use, by the rules of both.
    pub table: DeviceTable,
    pub cgroup: Cgroup,
    pub unit: Option<Unit>,
    /// The directory of the bundle, and its root filesystem.
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    id: ContainerId,
    /// The rules of the spec.
    rules: Vec<DeviceRule>,
    grant: Option<Grant>,
}

/// What is on record of a container that is about to be built.
pub(super) struct OnRecord {
    pub record: Record,
    pub granted_nodes: Vec<DeviceNode>,
    pub reservation: Option<Reservation>,
    /// What annotations ask of the unit.
    pub unit_properties: Vec<Property>,
}

impl Runtime {
    /// Claims the id, selects the GPUs and makes the spec the effective one.
    ///
    /// # Errors
    /// Where the id is in use, the spec is refused, a GPU is not there, or the cgroup is in use.
    pub(super) fn settle(&self, id: &ContainerId, bundle: Bundle) -> Result<Settled> {
        let (dir, lock) = self.root.claim(id)?;
        if let Some(leftover) = dir.leftover() {
            tracing::info!(%id, "cleaning up after a create that did not finish");
            recover(&dir, &leftover)?;
        }
        dir.clear()?;
        let undo = Undo::new(dir.clone(), lock);

        let grant = match request::of_spec(&bundle.spec, &self.settings.gpus) {
            Some(request) => Grant::for_request(&request, &self.host, &self.settings.gpus)?,
            None => None,
        };
        let named_cgroup = !cgroups_path(&bundle.spec).is_empty();
        let mut spec = effective(bundle.spec, id, &bundle.rootfs, self.systemd_cgroup)?;
        if self.rootless.tolerates_missing_rules() {
            translate_mappings(&mut spec)?;
        }
        let rules = canonical_rules(&mut spec)?;
        let mut of_gpus = Additions::default();
        if let Some(grant) = &grant {
            of_gpus = additions(&mut spec, &grant.edits, &self.gids_of(grant))?;
        }
        // Rules that contradict each other are refused before anything is built.
        let all = [&rules[..], &of_gpus.rules].concat();
        let table = DeviceTable::of_container(&all).map_err(DeviceCgroupError::from)?;
        let cgroups_path = PathBuf::from(cgroups_path(&spec));
        let (cgroup, unit) = self.cgroup_of(&cgroups_path, named_cgroup)?;
        cgroup.must_be_empty()?;
        cgroup.must_be_thawed()?;
        if !matches!(get_cgroup_setup(), Ok(CgroupSetup::Unified)) {
            let below = cgroups_path.strip_prefix("/").unwrap_or(&cgroups_path);
            show_own_v1(&mut spec, &cgroup.v1_dirs(), below)?;
        }
        Ok(Settled {
            bundle: bundle.dir,
            rootfs: bundle.rootfs,
            id: id.clone(),
            dir,
            undo,
            spec,
            additions: of_gpus,
            table,
            rules,
            cgroup,
            unit,
            grant,
        })
    }

    /// Puts the container on record, and its GPUs.
    ///
    /// # Errors
    /// Where a GPU is another container's alone.
    pub(super) fn put_on_record(&self, settled: &mut Settled) -> Result<OnRecord> {
        let mut record = new_record(settled)?;
        record.systemd_cgroup = self.systemd_cgroup;
        let gpus = self.gpus_of(settled.grant.as_ref(), &settled.spec, &settled.rules)?;
        let mut granted_nodes = Vec::new();
        if let Some(grant) = settled.grant.take() {
            record.gpu_gids = self.gids_of(&grant);
            let failed = |err: serde_json::Error| Error::Status(err.to_string());
            record.gpus = GpusOnRecord::of(&grant.gpus).map_err(failed)?;
            granted_nodes = grant.edits.device_nodes;
        }
        let unit_properties = match &settled.unit {
            Some(_) => properties_of(&record.annotations).map_err(CgroupError::from)?,
            None => Vec::new(),
        };
        let reservation = self.reserve(&record, gpus)?;
        Ok(OnRecord {
            record,
            granted_nodes,
            reservation,
            unit_properties,
        })
    }

    /// Makes the cgroup, by itself or as a unit of systemd with these properties, with its limits
    /// and device rules. What is returned keeps the unit until somebody else is in it.
    ///
    /// # Errors
    /// Where a part of it cannot be made.
    pub(super) fn make_cgroup(
        &self,
        cgroup: &Cgroup,
        unit: Option<&Unit>,
        properties: Vec<Property>,
        limits: &Resources,
        table: &DeviceTable,
    ) -> Result<Option<Keeper>> {
        let keeper = match unit {
            Some(unit) => {
                let started = unit.start(properties, limits, table);
                Some(started.map_err(CgroupError::from)?)
            }
            None => {
                cgroup.make(limits.need_domain())?;
                None
            }
        };
        cgroup.set_limits(limits, Unsupported::Warn)?;
        // Where it is an error that they cannot be written; else `enforce` tries, and warns.
        if !self.rootless.tolerates_missing_rules() {
            prepare(cgroup.dirs(), table)?;
        }
        Ok(keeper)
    }
}

/// The device rules of a spec, checked, and written back in the one form that libcgroups
/// writes right: it passes on a wildcard of -1, as docker's `--device-cgroup-rule` has
/// it, to a kernel that refuses it (EINVAL), and an absent access as no access.
fn canonical_rules(spec: &mut Value) -> Result<Vec<DeviceRule>> {
    let devices = &mut spec["linux"]["resources"]["devices"];
    let rules = rules_from_spec(devices)?;
    *devices = rules.iter().map(|rule| rule.to_spec()).collect();
    Ok(rules)
}

fn new_record(settled: &Settled) -> Result<Record> {
    let Settled { spec, cgroup, .. } = settled;
    let annotations = spec.get("annotations").and_then(Value::as_object);
    let annotations: BTreeMap<String, String> = annotations
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect();
    let creator = ProcessRef::own()
        .ok_or_else(|| Error::Usage("/proc is not mounted: a container cannot be made".into()))?;
    Ok(Record {
        id: settled.id.to_string(),
        phase: Phase::Creating,
        creator,
        init: None,
        bundle: settled.bundle.clone(),
        rootfs: settled.rootfs.clone(),
        oci_version: spec["ociVersion"].as_str().unwrap_or_default().to_owned(),
        annotations,
        created: Utc::now(),
        cgroups_path: cgroups_path(spec).into(),
        systemd_cgroup: false,
        own_pid_namespace: has_new_namespace(spec, "pid"),
        cgroup_dirs: cgroup.dirs().to_vec(),
        visited_dirs: cgroup.visited().to_vec(),
        shared_dirs: cgroup.existing(),
        gpus: GpusOnRecord::default(),
        gpu_gids: Vec::new(),
        enforcement: None,
        nodes_only: false,
        without_late_hooks: false,
        filter_is_loaded: false,
    })
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
}
