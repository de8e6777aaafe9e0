//! The effective spec: the caller's, in the form that libcontainer 0.7.0 builds right.
//!
//! Each function closes one hole of libcontainer and says which; none changes what
//! the spec means to runc.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use oci_spec::runtime::Capability;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{SpecError, array, clean_path, object};
use crate::id::ContainerId;

/// The effective spec of container `id`, whose root filesystem is at `rootfs`, and whose cgroup
/// systemd makes where `systemd`.
///
/// # Errors
/// Where a field that has to be changed is of the wrong type.
pub fn effective(
    mut spec: Value,
    id: &ContainerId,
    rootfs: &Path,
    systemd: bool,
) -> Result<Value, SpecError> {
    // The effective bundle is another directory than the caller's.
    object(&mut spec, "root")?["path"] = json!(rootfs);
    if spec
        .get("ociVersion")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        spec["ociVersion"] = json!("1.0.0");
    }
    drop_other_platforms(&mut spec);
    drop_what_is_empty(&mut spec);
    let mounts = array(&mut spec, "mounts")?;
    mount_dev(mounts);
    name_mount_sources(mounts);
    let linux = object(&mut spec, "linux")?;
    name_cgroup(linux, id, systemd)?;
    make_namespaces_without_path(array(linux, "namespaces")?);
    complete_seccomp(linux)?;
    deny_devices_first(array(object(linux, "resources")?, "devices")?);
    fold_duplicate_devices(array(linux, "devices")?);
    normalize_process(object(&mut spec, "process")?)?;
    Ok(spec)
}

/// A process object in the form that libcontainer runs right: that of a spec, or one
/// of `exec`.
///
/// # Errors
/// Where a field that has to be changed is of the wrong type.
pub fn normalize_process(process: &mut Value) -> Result<(), SpecError> {
    drop_empty_texts(process);
    drop_unknown_capabilities(process);
    set_umask(process)?;
    name_every_capability_set(process)
}

/// libcontainer takes an empty profile for one to be set, and oci-spec an empty list of
/// CPUs for an error.
fn drop_empty_texts(process: &mut Value) {
    let empty = |value: &mut Value| value.as_str().is_some_and(str::is_empty);
    if let Some(process) = process.as_object_mut()
        && process.get_mut("apparmorProfile").is_some_and(empty)
    {
        process.shift_remove("apparmorProfile");
    }
    let affinity = process.get_mut("execCPUAffinity");
    if let Some(affinity) = affinity.and_then(Value::as_object_mut) {
        affinity.retain(|_, cpus| !empty(cpus));
    }
}

/// libcontainer leaves the caller's umask where the spec names none, and refuses one with
/// more bits than umask(2) takes; runc sets 0022.
fn set_umask(process: &mut Value) -> Result<(), SpecError> {
    let user = object(process, "user")?;
    let umask = user.get("umask").and_then(Value::as_u64).unwrap_or(0o022);
    user["umask"] = json!(umask & 0o777);
    Ok(())
}

/// libcontainer leaves a capability set alone that the spec does not name: a process
/// without `capabilities` would keep all that the runtime has. With runc it has none.
fn name_every_capability_set(process: &mut Value) -> Result<(), SpecError> {
    let capabilities = object(process, "capabilities")?;
    for set in [
        "bounding",
        "effective",
        "permitted",
        "inheritable",
        "ambient",
    ] {
        array(capabilities, set)?;
    }
    Ok(())
}

/// Without a mount at /dev, libcontainer makes links and device nodes in the root
/// filesystem itself: they would stay there, GPUs included, and the next container on
/// it would fail, since libcontainer takes a link or node that is there for an error.
/// A container without a /dev of its own gets the one that every engine mounts.
fn mount_dev(mounts: &mut Vec<Value>) {
    let is_dev = |mount: &Value| {
        let destination = mount
            .get("destination")
            .and_then(Value::as_str)
            .unwrap_or_default();
        Path::new(destination)
            .components()
            .eq(Path::new("/dev").components())
            || Path::new(destination) == Path::new("dev")
    };
    if !mounts.iter().any(is_dev) {
        let dev = json!({
            "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        });
        mounts.insert(0, dev);
    }
}

/// libcontainer fails at a mount without a source, as the spec allows for a file
/// system that needs none.
fn name_mount_sources(mounts: &mut [Value]) {
    for mount in mounts.iter_mut().filter_map(Value::as_object_mut) {
        if mount
            .get("source")
            .and_then(Value::as_str)
            .is_none_or(str::is_empty)
        {
            let source = mount.get("type").cloned().filter(Value::is_string);
            mount.insert("source".into(), source.unwrap_or_else(|| json!("none")));
        }
    }
}

/// `linux.cgroupsPath` of an effective spec.
pub fn cgroups_path(spec: &Value) -> &str {
    spec.pointer("/linux/cgroupsPath")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// libcontainer takes an empty path for the runtime's own cgroup, and `create` and
/// `delete --force` then kill what is in it; a missing path becomes `:youki:<id>`. On v1
/// it follows `..`. A path of the systemd driver, `slice:prefix:name`, stays as it is; without one
/// the unit is one of the default slice, named after the container as runc does it.
fn name_cgroup(linux: &mut Value, id: &ContainerId, systemd: bool) -> Result<(), SpecError> {
    let path = match linux.get("cgroupsPath") {
        Some(Value::String(path)) if !path.is_empty() => clean_path(path),
        None | Some(Value::Null | Value::String(_)) if systemd => format!(":runc:{id}").into(),
        None | Some(Value::Null | Value::String(_)) => Path::new("/").join(id.as_str()),
        Some(other) => {
            let message = format!("linux.cgroupsPath must be a string, and is {other}");
            return Err(SpecError::Field(message));
        }
    };
    linux["cgroupsPath"] = json!(path);
    Ok(())
}

/// oci-spec reads the sections of other platforms, which runc only decodes, and two
/// fields of other runtimes.
fn drop_other_platforms(spec: &mut Value) {
    let others = [
        "solaris",
        "windows",
        "vm",
        "zos",
        "freebsd",
        "uidMappings",
        "gidMappings",
    ];
    if let Some(spec) = spec.as_object_mut() {
        spec.retain(|key, _| !others.contains(&key.as_str()));
    }
}

/// libcontainer takes an empty label or profile for one to be set, and empty mappings of a
/// mount for an error. To runc they are none. Limits of kernel memory are no more in any
/// kernel that is maintained, and runc ignores them.
fn drop_what_is_empty(spec: &mut Value) {
    let drop_if = |parent: Option<&mut Value>, key: &str, none: fn(&Value) -> bool| {
        if let Some(parent) = parent.and_then(Value::as_object_mut)
            && parent.get(key).is_some_and(none)
        {
            parent.shift_remove(key);
        }
    };
    let no_text = |value: &Value| value.as_str().is_some_and(str::is_empty);
    let no_items = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    drop_if(spec.get_mut("linux"), "mountLabel", no_text);
    for key in ["kernel", "kernelTCP"] {
        drop_if(spec.pointer_mut("/linux/resources/memory"), key, |_| true);
    }
    let mounts = spec.get_mut("mounts").and_then(Value::as_array_mut);
    for mount in mounts.into_iter().flatten() {
        for key in ["uidMappings", "gidMappings"] {
            drop_if(Some(&mut *mount), key, no_items);
        }
    }
}

/// libcontainer would join a namespace at an empty path; to runc it is none, and a new
/// one is made.
fn make_namespaces_without_path(namespaces: &mut [Value]) {
    for namespace in namespaces.iter_mut().filter_map(Value::as_object_mut) {
        if namespace.get("path").is_some_and(|path| path == "") {
            namespace.shift_remove("path");
        }
    }
}

/// runc takes a section without a default action and system calls for none, and a number
/// that is missing for 0; oci-spec refuses both.
fn complete_seccomp(linux: &mut Value) -> Result<(), SpecError> {
    if linux.get("seccomp").is_none_or(Value::is_null) {
        return Ok(());
    }
    let seccomp = object(linux, "seccomp")?;
    let action = seccomp.get("defaultAction").and_then(Value::as_str);
    let has_action = action.is_some_and(|action| !action.is_empty());
    let calls = array(seccomp, "syscalls")?;
    if calls.is_empty() && !has_action {
        linux["seccomp"] = Value::Null;
        return Ok(());
    }
    for call in calls {
        array(call, "names")?;
        for arg in array(call, "args")? {
            for number in ["index", "value"] {
                if arg.get(number).is_none_or(Value::is_null) {
                    arg[number] = json!(0);
                }
            }
        }
    }
    Ok(())
}

/// A v1 device cgroup starts as open as its parent, and libcontainer writes only the
/// rules of the spec: without a deny-all rule in front everything stays allowed. runc
/// starts from deny-all whatever the spec says.
fn deny_devices_first(rules: &mut Vec<Value>) {
    let denies_all = |rule: &Value| {
        let wildcard = |key| rule.get(key).is_none_or(|n| n.is_null() || n == -1);
        let all_numbers = wildcard("major") && wildcard("minor");
        let all_access = rule
            .get("access")
            .and_then(Value::as_str)
            .is_none_or(|a| a == "rwm");
        let all_types = rule
            .get("type")
            .and_then(Value::as_str)
            .is_none_or(|t| t == "a");
        rule["allow"] == false && all_numbers && all_access && all_types
    };
    if !rules.first().is_some_and(denies_all) {
        rules.insert(0, json!({"allow": false, "access": "rwm"}));
    }
}

/// libcontainer fails at the second mknod of one path; runc keeps the first.
fn fold_duplicate_devices(devices: &mut Vec<Value>) {
    let mut seen = HashSet::new();
    devices.retain(|device| match device.get("path").and_then(Value::as_str) {
        Some(path) => seen.insert(path.to_owned()),
        None => true,
    });
}

/// oci-spec refuses a capability that it does not know; runc warns and goes on, so
/// that a spec made for a newer kernel works on an older one.
fn drop_unknown_capabilities(process: &mut Value) {
    let Some(sets) = process
        .get_mut("capabilities")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let mut unknown = BTreeSet::new();
    for names in sets.values_mut().filter_map(Value::as_array_mut) {
        names.retain(|name| {
            let known = is_capability(name);
            if !known {
                unknown.insert(name.as_str().unwrap_or_default().to_owned());
            }
            known
        });
    }
    if !unknown.is_empty() {
        let unknown: Vec<String> = unknown.into_iter().collect();
        // runc's words.
        tracing::warn!(
            "ignoring unknown or unavailable capabilities: [{}]",
            unknown.join(" ")
        );
    }
}

/// oci-spec takes a name in lower case or with a prefix too few or too many; runc, which
/// compares whole names, does not, and leaves the capability out.
fn is_capability(name: &Value) -> bool {
    let known = Capability::deserialize(name).map(serde_json::to_value);
    known.is_ok_and(|known| known.is_ok_and(|known| known == *name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(spec: Value) -> Value {
        under(spec, false)
    }

    fn under(spec: Value, systemd: bool) -> Value {
        let id = ContainerId::new("c1").unwrap();
        effective(spec, &id, Path::new("/b/rootfs"), systemd).unwrap()
    }

    #[test]
    fn the_root_is_absolute() {
        assert_eq!(
            of(json!({"root": {"path": "rootfs", "readonly": true}}))["root"],
            json!({"path": "/b/rootfs", "readonly": true})
        );
    }

    #[test]
    fn a_container_without_a_dev_of_its_own_gets_one_below_all_other_mounts() {
        let mounts = |mounts: Value| of(json!({"mounts": mounts}))["mounts"].clone();
        let pts = json!({"destination": "/dev/pts", "type": "devpts"});
        assert_eq!(mounts(json!(null))[0]["destination"], "/dev");
        assert_eq!(mounts(json!([pts]))[0]["type"], "tmpfs");
        for own in ["/dev", "/dev/", "dev"] {
            let dev = json!([{"destination": own, "type": "bind", "source": "/dev"}]);
            assert_eq!(mounts(dev.clone()), dev);
        }
    }

    #[test]
    fn a_cgroup_is_always_named() {
        assert_eq!(cgroups_path(&of(json!({}))), "/c1");
        assert_eq!(
            cgroups_path(&of(json!({"linux": {"cgroupsPath": ""}}))),
            "/c1"
        );
        assert_eq!(
            cgroups_path(&of(json!({"linux": {"cgroupsPath": "/a/b"}}))),
            "/a/b"
        );
    }

    #[test]
    fn systemd_is_told_a_unit_where_no_path_is_named_and_the_path_that_is() {
        for (path, named) in [
            (json!(null), ":runc:c1"),
            (json!(""), ":runc:c1"),
            (json!("a.slice:p:n"), "a.slice:p:n"),
            (json!("/c1"), "/c1"),
        ] {
            let spec = under(json!({"linux": {"cgroupsPath": path}}), true);
            assert_eq!(cgroups_path(&spec), named);
        }
    }

    #[test]
    fn a_cgroup_does_not_climb() {
        for (path, clean) in [
            ("/a/b", "/a/b"),
            ("/a/../../b/./c", "/b/c"),
            ("../../a", "a"),
            ("a//b/", "a/b"),
            ("system.slice:docker:c", "system.slice:docker:c"),
        ] {
            let spec = of(json!({"linux": {"cgroupsPath": path}}));
            assert_eq!(cgroups_path(&spec), clean);
        }
    }

    #[test]
    fn sections_of_other_platforms_are_left_out() {
        let spec = of(json!({"windows": {}, "vm": 5, "uidMappings": "x", "other": 1}));
        assert!(spec.get("windows").is_none() && spec.get("vm").is_none());
        assert!(spec.get("uidMappings").is_none());
        assert_eq!(spec["other"], 1);
    }

    #[test]
    fn a_namespace_with_an_empty_path_is_new() {
        let spec = of(json!({"linux": {"namespaces": [{"type": "pid", "path": ""}]}}));
        assert_eq!(spec["linux"]["namespaces"], json!([{"type": "pid"}]));
    }

    #[test]
    fn an_empty_filter_is_none_and_missing_numbers_are_0() {
        let filter =
            |seccomp: Value| of(json!({"linux": {"seccomp": seccomp}}))["linux"]["seccomp"].clone();
        assert_eq!(filter(json!({})), json!(null));
        assert_eq!(filter(json!({"defaultAction": ""})), json!(null));
        let call = json!({"action": "SCMP_ACT_LOG", "args": [{"op": "SCMP_CMP_EQ"}]});
        let complete = filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [call]}));
        assert_eq!(
            complete["syscalls"][0],
            json!({"action": "SCMP_ACT_LOG", "names": [],
                "args": [{"op": "SCMP_CMP_EQ", "index": 0, "value": 0}]})
        );
    }

    #[test]
    fn device_rules_begin_by_denying_everything() {
        let first = |rules: Value| {
            let spec = of(json!({"linux": {"resources": {"devices": rules}}}));
            let rules = spec["linux"]["resources"]["devices"]
                .as_array()
                .unwrap()
                .clone();
            (rules[0].clone(), rules.len())
        };
        let deny = json!({"allow": false, "access": "rwm"});
        let typed = json!({"allow": false, "type": "a", "major": -1, "minor": -1, "access": "rwm"});
        let allow = json!({"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"});
        assert_eq!(first(json!(null)), (deny.clone(), 1));
        assert_eq!(first(json!([deny])), (deny.clone(), 1));
        assert_eq!(first(json!([allow])), (deny.clone(), 2));
        assert_eq!(first(json!([typed])).1, 1);
        let partial = json!({"allow": false, "type": "c", "major": 1, "access": "rwm"});
        assert_eq!(first(json!([partial])), (deny, 2));
    }

    #[test]
    fn of_two_devices_with_one_path_the_first_stays() {
        let device =
            |minor: u32| json!({"path": "/dev/x", "type": "c", "major": 1, "minor": minor});
        let spec = of(json!({"linux": {"devices": [device(3), device(5)]}}));
        assert_eq!(spec["linux"]["devices"], json!([device(3)]));
    }

    #[test]
    fn what_runc_defaults_to_is_written_out() {
        let spec = of(json!({
            "mounts": [{"destination": "/proc", "type": "proc"}, {"destination": "/x"}],
            "process": {"user": {"uid": 1}},
        }));
        assert_eq!(spec["mounts"][1]["source"], "proc");
        assert_eq!(spec["mounts"][2]["source"], "none");
        assert_eq!(spec["process"]["user"]["umask"], 0o022);
        let own = of(json!({"process": {"user": {"umask": 0o077}}}));
        assert_eq!(own["process"]["user"]["umask"], 0o077);
    }

    #[test]
    fn capability_sets_that_are_not_named_are_empty() {
        let sets =
            |process: Value| of(json!({"process": process}))["process"]["capabilities"].clone();
        let none = json!({"bounding": [], "effective": [], "permitted": [], "inheritable": [],
            "ambient": []});
        assert_eq!(sets(json!({})), none);
        assert_eq!(sets(json!({"capabilities": null})), none);
        let some = sets(json!({"capabilities": {"bounding": ["CAP_KILL"], "ambient": null}}));
        assert_eq!(
            (&some["bounding"], &some["effective"]),
            (&json!(["CAP_KILL"]), &json!([]))
        );
        assert_eq!(some["ambient"], json!([]));
        assert!(normalize_process(&mut json!({"capabilities": "all"})).is_err());
    }

    #[test]
    fn unknown_capabilities_are_left_out() {
        let caps = json!({"bounding": ["CAP_KILL", "CAP_FROM_THE_FUTURE", "kill", "CAP_CAP_KILL"]});
        let spec = of(json!({"process": {"capabilities": caps}}));
        assert_eq!(
            spec["process"]["capabilities"]["bounding"],
            json!(["CAP_KILL"])
        );
    }
}
