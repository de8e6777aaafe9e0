//! What `create` and `restore` have in common: from a bundle to a container that has its id and the
//! place of its cgroup, and nothing built; and how that cgroup is made.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::Utc;
use discovery::selection::Request;
use libcgroups::common::{CgroupSetup, get_cgroup_setup};
use serde_json::Value;

use super::resctrl;
use super::undo::{Undo, recover};
use super::{ContainerId, Runtime};
use crate::cgroup::resources::{Resources, Unsupported};
use crate::cgroup::systemd::{Keeper, Unit, properties_of};
use crate::cgroup::{Cgroup, CgroupError};
use crate::device_cgroup::{DeviceRule, DeviceTable, prepare, rules_from_spec};
use crate::error::{Error, Result};
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
    /// The effective spec, without the GPUs.
    pub spec: Value,
    /// Its device rules.
    pub rules: Vec<DeviceRule>,
    /// The GPUs that it asks for.
    pub request: Option<Request>,
    pub cgroup: Cgroup,
    pub unit: Option<Unit>,
    /// The directory of the bundle, and its root filesystem.
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    id: ContainerId,
}

impl Settled {
    /// Whether its devices make no difference to what is to be known before it is built: GPUs that
    /// are yet to be found, and a process without need of their groups. systemd is told of all rules
    /// before.
    pub fn can_find_devices_later(&self) -> bool {
        let user = &self.spec["process"]["user"]["uid"];
        let is_root = user.is_null() || *user == 0;
        self.request.is_some() && self.unit.is_none() && is_root
    }
}

impl Runtime {
    /// Claims the id and makes the spec the effective one.
    ///
    /// # Errors
    /// Where the id is in use, the spec is refused, or the cgroup is in use.
    pub(super) fn settle(&self, id: &ContainerId, bundle: Bundle) -> Result<Settled> {
        let (dir, lock) = self.root.claim(id)?;
        if let Some(leftover) = dir.leftover() {
            tracing::info!(%id, "cleaning up after a create that did not finish");
            recover(&dir, &leftover)?;
        }
        dir.clear()?;
        let undo = Undo::new(dir.clone(), lock);

        let request = request::of_spec(&bundle.spec, &self.settings.gpus);
        let named_cgroup = !cgroups_path(&bundle.spec).is_empty();
        let mut spec = effective(bundle.spec, id, &bundle.rootfs, self.systemd_cgroup)?;
        if self.rootless.tolerates_missing_rules() {
            translate_mappings(&mut spec)?;
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
        Ok(Settled {
            bundle: bundle.dir,
            rootfs: bundle.rootfs,
            id: id.clone(),
            dir,
            undo,
            spec,
            rules,
            request,
            cgroup,
            unit,
        })
    }

    /// The record of a container that is about to be built.
    ///
    /// # Errors
    /// Where /proc is not mounted.
    pub(super) fn new_record(&self, settled: &Settled) -> Result<Record> {
        let mut record = new_record(settled)?;
        record.systemd_cgroup = self.systemd_cgroup;
        Ok(record)
    }

    /// Makes the cgroup, by itself or as a unit of systemd with what annotations ask of it, with its
    /// limits and, where they are known, as they must be for a unit, its device rules. What is returned
    /// keeps the unit until somebody else is in it.
    ///
    /// # Errors
    /// Where a part of it cannot be made.
    pub(super) fn make_cgroup(
        &self,
        cgroup: &Cgroup,
        unit: Option<&Unit>,
        annotations: &BTreeMap<String, String>,
        limits: &Resources,
        table: Option<&DeviceTable>,
    ) -> Result<Option<Keeper>> {
        let keeper = match unit.zip(table) {
            Some((unit, table)) => {
                let properties = properties_of(annotations).map_err(CgroupError::from)?;
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
        if let Some(table) = table
            && !self.rootless.tolerates_missing_rules()
        {
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
        has_resctrl_group: resctrl::is_asked_for(spec),
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
