//! The two specs of a container: the effective one, and what libcontainer is told of it.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::hooks::Hooks;
use crate::spec::namespace;
use crate::state::{ContainerDir, write_atomically};

/// A copy of a spec without its device nodes and rules, for libcontainer, which has no part in them:
/// 64 GPUs are 129 of each, nine tenths of the spec. Where libcontainer makes the root filesystem,
/// in its caller's mount namespace, it makes the nodes, and has them.
pub(super) fn without_devices(spec: &mut Value) -> Value {
    if namespace(spec, "mount").is_none() {
        return spec.clone();
    }
    let lists = ["/linux/devices", "/linux/resources/devices"];
    let taken = lists.map(|list| spec.pointer_mut(list).map(Value::take));
    let copy = spec.clone();
    for (list, devices) in lists.into_iter().zip(taken) {
        if let Some((list, devices)) = spec.pointer_mut(list).zip(devices) {
            *list = devices;
        }
    }
    copy
}

/// Names a cgroup that systemd has made: libcontainer is told of no systemd.
pub(super) fn tell_cgroup(spec: &mut Value, dir: &Path) {
    let root = libcgroups::common::DEFAULT_CGROUP_ROOT;
    let below = dir.strip_prefix(root).unwrap_or(dir);
    spec["linux"]["cgroupsPath"] = Path::new("/").join(below).to_string_lossy().into();
}

/// Writes a spec: the effective one, and what libcontainer is told of it, which it reads
/// from a file only (youki#2786). The caller's bundle is not ours to change.
pub(super) fn write_spec(path: &Path, spec: &Value) -> Result<()> {
    let io = |source| Error::Io {
        what: "cannot write",
        path: path.to_owned(),
        source,
    };
    let json = serde_json::to_vec(spec).map_err(|err| io(err.into()))?;
    write_atomically(path, &json).map_err(io)
}

/// The effective spec of a container.
///
/// # Errors
/// Where it cannot be read.
pub(super) fn read_spec(dir: &ContainerDir) -> Result<Value> {
    read_part(dir)
}

/// The hooks of a container.
///
/// # Errors
/// Where its effective spec cannot be read.
pub(super) fn read_hooks(dir: &ContainerDir) -> Result<Hooks> {
    #[derive(Deserialize)]
    struct Part {
        #[serde(default)]
        hooks: Value,
    }
    // The rest of it takes longer, with 64 GPUs, than all else that `start` does.
    let Part { hooks } = read_part(dir)?;
    Ok(Hooks::of(&json!({ "hooks": hooks }))?)
}

/// The effective spec of a container, or such fields of it as `T` has.
fn read_part<T: DeserializeOwned>(dir: &ContainerDir) -> Result<T> {
    let path = dir.spec_path();
    let io = |source| Error::Io {
        what: "cannot read",
        path: path.clone(),
        source,
    };
    let bytes = fs::read(&path).map_err(io)?;
    serde_json::from_slice(&bytes).map_err(|err| io(err.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_for_libcontainer_has_all_but_devices_and_their_rules() {
        let whole = json!({"linux": {
            "devices": [{"path": "/dev/kfd"}],
            "resources": {"devices": [{"allow": false}], "pids": {"limit": 5}},
            "namespaces": [{"type": "mount"}],
        }});
        let mut spec = whole.clone();
        let copy = without_devices(&mut spec);
        assert_eq!(spec, whole);
        assert_eq!(
            copy,
            json!({"linux": {
                "devices": null,
                "resources": {"devices": null, "pids": {"limit": 5}},
                "namespaces": [{"type": "mount"}],
            }})
        );
        let mut none = json!({"linux": {}, "process": {}});
        assert_eq!(
            without_devices(&mut none),
            json!({"linux": {}, "process": {}})
        );
    }

    #[test]
    fn in_its_callers_mount_namespace_libcontainer_has_the_devices() {
        let mut spec = json!({"linux": {"devices": [{"path": "/dev/kfd"}]}});
        assert_eq!(without_devices(&mut spec), spec);
    }
}
