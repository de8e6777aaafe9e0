//! When the init of a container joins its cgroup.

use std::path::Path;

use libcgroups::common::{CgroupSetup, get_cgroup_setup};
use serde_json::Value;

use super::Runtime;
use super::settle::Settled;
use crate::cgroup::Cgroup;
use crate::cgroup::hidden::Cover;
use crate::error::Result;
use crate::hooks::{Hooks, When};
use crate::mounts::Circumstances;
use crate::spec::{has_new_namespace, namespace};

/// When the init of a container joins its cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    /// By libcontainer, before it has its namespaces.
    Early,
    /// By birth, as do all processes that build it, on v2 ([`crate::cgroup::birth`]). Cgroups are
    /// hidden from libcontainer: it would move there where they are already.
    Born(Cover),
    /// By us, when it is built and waits for `start`; cgroups are hidden from libcontainer, which
    /// spares its search for them, and a wait (see [`crate::cgroup::hidden`]).
    Late(Cover),
    /// There is none that it could join.
    Never(Cover),
}

impl Joining {
    /// For a container with this spec and `cgroup`, of a caller with the rights of the host's root.
    /// `has_unit` says that systemd makes the cgroup, and has a process put there from the start.
    pub fn of(spec: &Value, hooks: &Hooks, cgroup: &Cgroup, has_unit: bool) -> Self {
        match get_cgroup_setup() {
            Ok(setup) => Self::on(&setup, spec, hooks, cgroup, has_unit),
            Err(_) => Self::Early,
        }
    }

    fn on(
        setup: &CgroupSetup,
        spec: &Value,
        hooks: &Hooks,
        cgroup: &Cgroup,
        has_unit: bool,
    ) -> Self {
        let cover = lets_cover_be_lifted(spec, hooks).then(|| Cover::on(setup, cgroup));
        let Some(cover) = cover.flatten() else {
            return Self::Early;
        };
        if cover.is_unified() && has_memory_for_birth(spec) {
            Self::Born(cover)
        } else if is_free_to_join_late(spec) && !has_unit {
            Self::Late(cover)
        } else {
            Self::Early
        }
    }

    /// What hides the cgroups while the container is built.
    pub fn cover(&self) -> Option<&Cover> {
        match self {
            Self::Early => None,
            Self::Born(cover) | Self::Late(cover) | Self::Never(cover) => Some(cover),
        }
    }

    /// Where that is to be taken off in the container's mount namespace. One without a cgroup is in
    /// a user namespace, and there the mount is locked (mount_namespaces(7)).
    pub fn cover_to_lift(&self) -> Option<&Path> {
        match self {
            Self::Born(cover) | Self::Late(cover) => cover.top(),
            Self::Early | Self::Never(_) => None,
        }
    }
}

impl Runtime {
    /// When the init of this container joins its cgroup.
    ///
    /// # Errors
    /// Where it has no cgroup, and the host none of v2.
    pub(super) fn joining(&self, settled: &Settled, hooks: &Hooks) -> Result<Joining> {
        let cgroup = &settled.cgroup;
        if cgroup.is_none() {
            return Ok(Joining::Never(Cover::without_cgroup(
                settled.dir.id().as_str(),
            )?));
        }
        if self.rootless.tolerates_missing_rules() {
            return Ok(Joining::Early);
        }
        Ok(Joining::of(
            &settled.spec,
            hooks,
            cgroup,
            settled.unit.is_some(),
        ))
    }

    /// What there is to know of its root filesystem beside the spec.
    pub(super) fn circumstances<'s>(
        &self,
        settled: &'s Settled,
        joining: &Joining,
        no_pivot: bool,
    ) -> Circumstances<'s> {
        Circumstances {
            rootfs: &settled.rootfs,
            bundle: &settled.bundle,
            no_pivot,
            init_file: joining.cover().map(|_| settled.dir.init_path()),
            cgroup_cover: joining.cover_to_lift().map(Path::to_owned),
            // Others may be able to make a cgroup, and not to move a process of theirs there.
            cgroup_dirs: match joining {
                Joining::Born(_) => Vec::new(),
                _ if self.rootless.tolerates_missing_rules() => Vec::new(),
                _ => settled.cgroup.dirs().to_vec(),
            },
            stand_in: settled.dir.stand_in(),
        }
    }
}

/// Less memory than this, in bytes, may not do for the processes that build a container: each has
/// copies of what it writes to.
const MEMORY_FOR_BIRTH: i64 = 16 << 20;

/// Whether those that build the container can be counted against its limit.
fn has_memory_for_birth(spec: &Value) -> bool {
    let resources = &spec["linux"]["resources"];
    let limit = resources["memory"]["limit"].as_i64();
    let is_tight = limit.is_some_and(|limit| (1..MEMORY_FOR_BIRTH).contains(&limit));
    // Files of v2 are written as they are.
    let files = resources["unified"].as_object();
    let mut names = files.into_iter().flat_map(|files| files.keys());
    !is_tight && !names.any(|name| name.starts_with("memory."))
}

/// Whether what hides the cgroups can be taken off where the container's mounts are made, and
/// nobody looks before.
fn lets_cover_be_lifted(spec: &Value, hooks: &Hooks) -> bool {
    // In a user namespace mounts are locked, and in a mount namespace at a path, or the caller's,
    // they are others'.
    let namespaces = has_new_namespace(spec, "mount") && namespace(spec, "user").is_none();
    // A hook may look for the cgroup of the process that it is told of.
    let hooked = [When::Prestart, When::CreateRuntime, When::CreateContainer]
        .iter()
        .any(|when| !hooks.at(*when).is_empty());
    // Mounts made at the cover's place would not get to the host.
    let propagation = spec.pointer("/linux/rootfsPropagation");
    let shared = propagation
        .and_then(Value::as_str)
        .is_some_and(|name| name.ends_with("shared"));
    namespaces && !hooked && !shared
}

/// Whether nothing in a container can tell that its init joined its cgroup late: the root of a
/// cgroup namespace is where its first process is.
fn is_free_to_join_late(spec: &Value) -> bool {
    namespace(spec, "cgroup").is_none()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_container_joins_late_where_nothing_can_tell() {
        let namespaces = |kinds: &[&str]| {
            let kinds: Vec<_> = kinds.iter().map(|kind| json!({"type": kind})).collect();
            json!({"linux": {"namespaces": kinds}})
        };
        let mut shared = namespaces(&["mount"]);
        shared["linux"]["rootfsPropagation"] = "rshared".into();
        let mut slave = shared.clone();
        slave["linux"]["rootfsPropagation"] = "rslave".into();
        let mut at_path = namespaces(&["mount"]);
        at_path["linux"]["namespaces"][0]["path"] = "/run/ns".into();
        let hooked = |point: &str| {
            let mut spec = namespaces(&["mount"]);
            spec["hooks"] = json!({point: [{"path": "/hook"}]});
            spec
        };
        for (spec, late) in [
            (namespaces(&["mount", "pid", "network", "ipc", "uts"]), true),
            (namespaces(&["pid"]), false),
            (namespaces(&["mount", "user"]), false),
            (namespaces(&["mount", "cgroup"]), false),
            (at_path, false),
            (shared, false),
            (slave, true),
            (hooked("prestart"), false),
            (hooked("createRuntime"), false),
            (hooked("createContainer"), false),
            (hooked("startContainer"), true),
            (hooked("poststop"), true),
        ] {
            let hooks = Hooks::of(&spec).unwrap();
            let is_late = lets_cover_be_lifted(&spec, &hooks) && is_free_to_join_late(&spec);
            assert_eq!(is_late, late, "{spec}");
        }
    }

    #[test]
    fn builders_are_born_in_a_cgroup_that_has_the_memory_for_them() {
        for (resources, has) in [
            (json!(null), true),
            (json!({"cpu": {"quota": 1000}}), true),
            (json!({"memory": {"limit": -1}}), true),
            (json!({"memory": {"limit": 0}}), true),
            (json!({"memory": {"limit": 64 << 20}}), true),
            (json!({"memory": {"limit": 6 << 20}}), false),
            (json!({"unified": {"memory.max": "6M"}}), false),
            (json!({"unified": {"cpu.max": "6000"}}), true),
        ] {
            let spec = json!({"linux": {"resources": resources}});
            assert_eq!(has_memory_for_birth(&spec), has, "{spec}");
        }
    }

    #[test]
    fn on_v2_a_container_is_born_with_a_cgroup_namespace_or_a_unit_too() {
        let dirs = |dir: &str| Cgroup::new(vec![dir.into()]);
        let hooks = Hooks::of(&json!({})).unwrap();
        for kinds in [vec!["mount"], vec!["mount", "cgroup"]] {
            let kinds: Vec<_> = kinds.iter().map(|kind| json!({"type": kind})).collect();
            let spec = json!({"linux": {"namespaces": kinds}});
            for has_unit in [false, true] {
                let joining = Joining::on(
                    &CgroupSetup::Unified,
                    &spec,
                    &hooks,
                    &dirs("/sys/fs/cgroup/a"),
                    has_unit,
                );
                assert!(matches!(joining, Joining::Born(_)), "{spec} {joining:?}");
            }
        }
    }
}
