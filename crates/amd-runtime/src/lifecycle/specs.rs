//! The two specs of a container: the effective one, and what libcontainer is told of it.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::additions::Additions;
use crate::error::{Error, Result};
use crate::hooks::Hooks;
use crate::spec::namespace;
use crate::state::{ContainerDir, Record, write_atomically};

/// A copy of a spec without its device nodes and rules, for libcontainer, which has no part in them:
/// 64 GPUs are 129 of each, nine tenths of the spec. Where libcontainer makes the root filesystem,
/// in its caller's mount namespace, it makes the nodes, and has them, and the additions, which are
/// known there.
///
/// # Errors
/// Where a field on the way to a list of devices is of the wrong type.
pub(super) fn without_devices(spec: &mut Value, additions: Option<&Additions>) -> Result<Value> {
    if namespace(spec, "mount").is_none() {
        let mut copy = spec.clone();
        if let Some(additions) = additions {
            additions.put_into(&mut copy)?;
        }
        return Ok(copy);
    }
    let lists = ["/linux/devices", "/linux/resources/devices"];
    let taken = lists.map(|list| spec.pointer_mut(list).map(Value::take));
    let copy = spec.clone();
    for (list, devices) in lists.into_iter().zip(taken) {
        if let Some((list, devices)) = spec.pointer_mut(list).zip(devices) {
            *list = devices;
        }
    }
    Ok(copy)
}

/// Names a cgroup that systemd has made: libcontainer is told of no systemd.
pub(super) fn tell_cgroup(spec: &mut Value, dir: &Path) {
    let root = libcgroups::common::DEFAULT_CGROUP_ROOT;
    let below = dir.strip_prefix(root).unwrap_or(dir);
    spec["linux"]["cgroupsPath"] = Path::new("/").join(below).to_string_lossy().into();
}

/// Writes a spec: the effective one, and what libcontainer is told of it, which it reads
/// from a file only (youki#2786). The caller's bundle is not ours to change.
pub(super) fn write_spec(path: &Path, spec: &impl Serialize) -> Result<()> {
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

/// The process object of the effective spec of a container.
///
/// # Errors
/// Where that cannot be read.
pub(super) fn read_process(dir: &ContainerDir) -> Result<Value> {
    #[derive(Deserialize)]
    struct Part {
        #[serde(default)]
        process: Value,
    }
    let Part { process } = read_part(dir)?;
    Ok(process)
}

/// The hooks of a container of which some are to run once it is created; else none.
///
/// # Errors
/// Where its effective spec cannot be read.
pub(super) fn read_late_hooks(dir: &ContainerDir, record: &Record) -> Result<Hooks> {
    if record.without_late_hooks {
        return Ok(Hooks::default());
    }
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
    use crate::device_cgroup::{Access, DeviceKind, DeviceRule};

    #[test]
    fn the_copy_for_libcontainer_has_all_but_devices_and_their_rules() {
        let whole = json!({"linux": {
            "devices": [{"path": "/dev/kfd"}],
            "resources": {"devices": [{"allow": false}], "pids": {"limit": 5}},
            "namespaces": [{"type": "mount"}],
        }});
        let mut spec = whole.clone();
        let copy = without_devices(&mut spec, None).unwrap();
        assert_eq!(spec, whole);
        assert_eq!(
            copy,
            json!({"linux": {
                "devices": null,
                "resources": {"devices": null, "pids": {"limit": 5}},
                "namespaces": [{"type": "mount"}],
            }})
        );
        let mut none = json!({"linux": {"namespaces": [{"type": "mount"}]}, "process": {}});
        let copy = without_devices(&mut none, None).unwrap();
        assert_eq!(copy, none);
    }

    #[test]
    fn in_its_callers_mount_namespace_libcontainer_has_the_devices() {
        let mut spec =
            json!({"linux": {"devices": [{"path": "/dev/x"}], "resources": {"devices": []}}});
        let additions = Additions {
            nodes: Vec::new(),
            rules: vec![DeviceRule::new(
                true,
                DeviceKind::Char,
                Some(226),
                Some(128),
                Access::ALL,
            )],
        };
        let copy = without_devices(&mut spec, Some(&additions)).unwrap();
        assert_eq!(copy["linux"]["devices"], spec["linux"]["devices"]);
        assert_eq!(copy["linux"]["resources"]["devices"][0]["minor"], 128);
    }
}
