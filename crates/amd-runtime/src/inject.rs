//! The change that granted GPUs make to a spec: `inject(spec, edits) -> spec`.

use discovery::edits::{ContainerEdits, DeviceNode};
use serde_json::{Value, json};

use crate::additions::Additions;
use crate::device_cgroup::{Access, DeviceKind, DeviceRule};
use crate::spec::{SpecError, array, object};

/// A spec with the device nodes of `edits` added, allowed, and made accessible.
///
/// - `linux.devices` gets each node with the host's numbers, mode and owner. A node
///   that the spec already has under that path with the same numbers stays as the
///   caller wrote it: `docker run --device /dev/kfd` beside our runtime works.
/// - `linux.resources.devices` gets a rule that allows `rwm` for each node, after all
///   rules of the caller. That the first rule denies everything is the work of
///   [`crate::spec::effective`], for every container.
/// - `process.user.additionalGids` gets `gids`, where the process is not root: the
///   owner of the nodes is root, and root needs no group.
///
/// # Errors
/// Where the spec has another device under the path of a granted node, or a field on
/// the way is of the wrong type.
pub fn inject(mut spec: Value, edits: &ContainerEdits, gids: &[u32]) -> Result<Value, SpecError> {
    additions(&mut spec, edits, gids)?.put_into(&mut spec)?;
    Ok(spec)
}

/// As [`inject`], but for the nodes and rules: what is returned has those that the spec is to get. It
/// has the groups, and the lists that nodes and rules belong in.
///
/// # Errors
/// As [`inject`].
pub fn additions(
    spec: &mut Value,
    edits: &ContainerEdits,
    gids: &[u32],
) -> Result<Additions, SpecError> {
    let linux = object(spec, "linux")?;
    let devices = array(linux, "devices")?;
    let mut nodes = Vec::with_capacity(edits.device_nodes.len());
    for node in &edits.device_nodes {
        if !has_node(devices, node)? {
            nodes.push(node.clone());
        }
    }
    array(object(linux, "resources")?, "devices")?;
    add_gids(object(spec, "process")?, gids)?;
    Ok(Additions {
        nodes,
        rules: edits.device_nodes.iter().map(rule).collect(),
    })
}

/// Adds groups to a process that is not root: that of a spec, or one of `exec`.
///
/// # Errors
/// Where `user` or its groups are of the wrong type.
pub fn add_gids(process: &mut Value, gids: &[u32]) -> Result<(), SpecError> {
    if gids.is_empty() {
        return Ok(());
    }
    let user = object(process, "user")?;
    if user.get("uid").and_then(Value::as_u64).unwrap_or(0) == 0 {
        return Ok(());
    }
    let present = array(user, "additionalGids")?;
    for gid in gids {
        if !present.iter().any(|g| g.as_u64() == Some(u64::from(*gid))) {
            present.push(json!(gid));
        }
    }
    Ok(())
}

fn has_node(devices: &[Value], node: &DeviceNode) -> Result<bool, SpecError> {
    let path = node.path.to_string_lossy();
    let Some(there) = devices
        .iter()
        .find(|d| d.get("path").and_then(Value::as_str) == Some(&path))
    else {
        return Ok(false);
    };
    let number = |key| there.get(key).and_then(Value::as_i64);
    let same = there
        .get("type")
        .and_then(Value::as_str)
        .is_some_and(|t| t == "c" || t == "u")
        && number("major") == Some(i64::from(node.major))
        && number("minor") == Some(i64::from(node.minor));
    if same {
        return Ok(true);
    }
    Err(SpecError::Field(format!(
        "linux.devices has {path} as {there}, but on this host it is c {}:{}",
        node.major, node.minor
    )))
}

fn rule(node: &DeviceNode) -> DeviceRule {
    let (major, minor) = (Some(node.major), Some(node.minor));
    DeviceRule::new(true, DeviceKind::Char, major, minor, Access::ALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(path: &str, major: u32, minor: u32) -> DeviceNode {
        DeviceNode {
            path: path.into(),
            major,
            minor,
            mode: 0o660,
            uid: 0,
            gid: 109,
        }
    }

    fn edits() -> ContainerEdits {
        ContainerEdits {
            device_nodes: vec![
                node("/dev/kfd", 511, 0),
                node("/dev/dri/renderD128", 226, 128),
            ],
            additional_gids: vec![109],
        }
    }

    #[test]
    fn nodes_come_with_the_hosts_numbers_mode_and_owner() {
        let spec = inject(json!({"process": {}}), &edits(), &[]).unwrap();
        assert_eq!(
            spec["linux"]["devices"][1],
            json!({"path": "/dev/dri/renderD128", "type": "c", "major": 226, "minor": 128,
                "fileMode": 0o660, "uid": 0, "gid": 109})
        );
    }

    #[test]
    fn rules_follow_those_of_the_caller() {
        let deny = json!({"allow": false, "access": "rwm"});
        let spec = json!({"process": {}, "linux": {"resources": {"devices": [deny]}}});
        let rules = &inject(spec, &edits(), &[]).unwrap()["linux"]["resources"]["devices"];
        assert_eq!(rules.as_array().unwrap().len(), 3);
        assert_eq!(rules[0], json!({"allow": false, "access": "rwm"}));
        assert_eq!(
            rules[1],
            json!({"allow": true, "type": "c", "major": 511, "minor": 0, "access": "rwm"})
        );
    }

    #[test]
    fn a_node_that_the_caller_has_is_left_as_it_is() {
        let own = json!({"path": "/dev/kfd", "type": "c", "major": 511, "minor": 0, "gid": 7});
        let spec = json!({"process": {}, "linux": {"devices": [own.clone()]}});
        let devices = &inject(spec, &edits(), &[]).unwrap()["linux"]["devices"];
        assert_eq!(devices.as_array().unwrap().len(), 2);
        assert_eq!(devices[0], own);
    }

    #[test]
    fn another_device_under_the_path_of_a_gpu_is_an_error() {
        for other in [
            json!({"path": "/dev/kfd", "type": "c", "major": 1, "minor": 3}),
            json!({"path": "/dev/kfd", "type": "b", "major": 511, "minor": 0}),
            json!({"path": "/dev/kfd"}),
        ] {
            let spec = json!({"process": {}, "linux": {"devices": [other]}});
            let message = inject(spec, &edits(), &[]).unwrap_err().to_string();
            assert!(
                message.contains("/dev/kfd") && message.contains("511:0"),
                "{message}"
            );
        }
    }

    #[test]
    fn groups_go_to_a_process_that_is_not_root_and_once() {
        let gids = |user: Value| {
            let spec = json!({"process": {"user": user}});
            inject(spec, &edits(), &[44, 109]).unwrap()["process"]["user"].clone()
        };
        assert_eq!(
            gids(json!({"uid": 1000, "gid": 1000, "additionalGids": [109, 5]})),
            json!({"uid": 1000, "gid": 1000, "additionalGids": [109, 5, 44]})
        );
        assert_eq!(
            gids(json!({"uid": 0, "gid": 0})),
            json!({"uid": 0, "gid": 0})
        );
    }

    #[test]
    fn fields_that_nobody_knows_survive() {
        let spec = json!({"process": {"x-new": 1}, "linux": {"x-newer": {"a": [1]}}, "x": 18446744073709551615u64});
        let injected = inject(spec, &edits(), &[]).unwrap();
        assert_eq!(injected["process"]["x-new"], 1);
        assert_eq!(injected["linux"]["x-newer"], json!({"a": [1]}));
        assert_eq!(injected["x"], 18446744073709551615u64);
    }

    #[test]
    fn a_field_of_the_wrong_type_is_an_error_and_no_panic() {
        for spec in [
            json!({"linux": []}),
            json!({"linux": {"devices": {}}}),
            json!({"linux": {"resources": 1}}),
            json!({"process": "x"}),
        ] {
            assert!(inject(spec.clone(), &edits(), &[1]).is_err(), "{spec}");
        }
    }
}
