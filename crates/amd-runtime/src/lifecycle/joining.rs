//! When the init of a container joins its cgroup.

use std::path::Path;

use serde_json::Value;

use crate::cgroup::Cgroup;
use crate::cgroup::hidden::Cover;
use crate::hooks::{Hooks, When};
use crate::spec::{has_new_namespace, namespace};

/// When the init of a container joins its cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    /// By libcontainer, before it has its namespaces.
    Early,
    /// By us, when it is built and waits for `start`; cgroups are hidden from libcontainer, which
    /// spares its search for them, and a wait (see [`crate::cgroup::hidden`]).
    Late(Cover),
    /// There is none that it could join.
    Never(Cover),
}

impl Joining {
    /// For a container with this spec and `cgroup`, of a caller with the rights of the host's root.
    pub fn of(spec: &Value, hooks: &Hooks, cgroup: &Cgroup) -> Self {
        let cover = is_free_to_join_late(spec, hooks).then(|| Cover::of(cgroup));
        cover.flatten().map_or(Self::Early, Self::Late)
    }

    /// What hides the cgroups while the container is built.
    pub fn cover(&self) -> Option<&Cover> {
        match self {
            Self::Early => None,
            Self::Late(cover) | Self::Never(cover) => Some(cover),
        }
    }

    /// Where that is to be taken off in the container's mount namespace. One without a cgroup is in
    /// a user namespace, and there the mount is locked (mount_namespaces(7)).
    pub fn cover_to_lift(&self) -> Option<&Path> {
        match self {
            Self::Late(cover) => cover.top(),
            Self::Early | Self::Never(_) => None,
        }
    }
}

/// Whether nothing in a container can tell that its init joined its cgroup late, and what hides the
/// cgroups can be taken off.
fn is_free_to_join_late(spec: &Value, hooks: &Hooks) -> bool {
    // The root of a cgroup namespace is where its first process is. In a user namespace mounts are
    // locked, and in a mount namespace at a path, or the caller's, they are others'.
    let namespaces = has_new_namespace(spec, "mount")
        && namespace(spec, "user").is_none()
        && namespace(spec, "cgroup").is_none();
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
            assert_eq!(is_free_to_join_late(&spec, &hooks), late, "{spec}");
        }
    }
}
