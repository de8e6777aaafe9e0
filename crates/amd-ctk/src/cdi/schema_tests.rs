use serde_json::{Value, json};

use super::*;

fn spec(edits: &Value) -> Value {
    json!({
        "cdiVersion": "1.1.0",
        "kind": "vendor.com/device",
        "devices": [{"name": "dev", "containerEdits": edits}],
    })
}

fn valid() -> Value {
    spec(&json!({"deviceNodes": [{"path": "/dev/x"}]}))
}

/// The spec with the value at a JSON pointer set.
fn with(mut spec: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    spec.pointer_mut(parent).unwrap()[key] = value;
    spec
}

fn told(value: &Value) -> Vec<String> {
    faults(value).iter().map(Fault::to_string).collect()
}

#[test]
fn all_fields_of_the_latest_version_are_known() {
    let edits = json!({
        "env": ["A=b"],
        "deviceNodes": [{
            "path": "/dev/x", "hostPath": "/dev/y", "type": "c", "major": 1, "minor": 2,
            "fileMode": 438, "permissions": "rw", "uid": 0, "gid": 4294967295_u32,
        }],
        "netDevices": [{"hostInterfaceName": "eth0", "name": "net0"}],
        "hooks": [{"hookName": "prestart", "path": "/bin/x", "args": ["x"], "env": [], "timeout": 3}],
        "mounts": [{"hostPath": "/a", "containerPath": "/b", "options": ["ro"], "type": "bind"}],
        "intelRdt": {"closID": "c", "l3CacheSchema": "", "memBwSchema": "", "schemata": ["x"], "enableMonitoring": true},
        "additionalGids": [44],
    });
    let spec = with(spec(&edits), "/containerEdits", edits);
    let spec = with(spec, "/annotations", json!({"a": "b", "truth": true}));
    assert_eq!(told(&spec), [""; 0]);
}

#[test]
fn a_field_that_is_null_is_not_there() {
    assert_eq!(
        told(&with(valid(), "/containerEdits", Value::Null)),
        [""; 0]
    );
    assert_eq!(
        told(&with(valid(), "/kind", Value::Null)),
        ["kind: missing"]
    );
}

#[test]
fn fields_that_the_stated_version_does_not_have_are_named() {
    let in_version =
        |version: &str, edits: Value| told(&with(spec(&edits), "/cdiVersion", version.into()));
    let place = "devices[0].containerEdits";
    for (field, value, before, since) in [
        ("additionalGids", json!([1]), "0.6.0", "0.7.0"),
        ("intelRdt", json!({"closID": "a"}), "0.6.0", "0.7.0"),
        (
            "netDevices",
            json!([{"hostInterfaceName": "a", "name": "b"}]),
            "1.0.0",
            "1.1.0",
        ),
    ] {
        let edits = json!({ field: value });
        assert_eq!(
            in_version(before, edits.clone()),
            [format!(
                "{place}.{field}: CDI {before} does not have this field: it came with {since}"
            )]
        );
        assert_eq!(in_version(since, edits), [""; 0]);
    }
    let edits = json!({"deviceNodes": [{"path": "/dev/x", "hostPath": "/dev/y"}]});
    assert_eq!(in_version("0.4.0", edits.clone()).len(), 1);
    assert_eq!(in_version("0.5.0", edits), [""; 0]);
    let edits = json!({"mounts": [{"hostPath": "/a", "containerPath": "/a", "type": "bind"}]});
    assert_eq!(in_version("0.3.0", edits.clone()).len(), 1);
    assert_eq!(in_version("0.4.0", edits), [""; 0]);
}

#[test]
fn names_that_the_stated_version_does_not_have_are_named() {
    for (pointer, value, before, since) in [
        ("/devices/0/name", "0", "0.4.0", "0.5.0"),
        ("/kind", "vendor.com/device.x", "0.5.0", "0.6.0"),
    ] {
        let spec = with(valid(), pointer, value.into());
        let [fault] = &told(&with(spec.clone(), "/cdiVersion", before.into()))[..] else {
            panic!("one fault is expected");
        };
        assert!(fault.contains(value) && fault.ends_with(since), "{fault}");
        assert_eq!(told(&with(spec, "/cdiVersion", since.into())), [""; 0]);
    }
    let annotated = with(valid(), "/annotations", json!({"a": "b"}));
    assert_eq!(
        told(&with(annotated, "/cdiVersion", "0.5.0".into())).len(),
        1
    );
}

#[test]
fn what_consumers_refuse_is_named_with_its_place() {
    for (spec, expected) in [
        (json!([]), "not an object, so no CDI spec"),
        (
            with(valid(), "/cdiVersion", "9.0.0".into()),
            "cdiVersion: \"9.0.0\" is not a CDI version; there are 0.1.0 to 1.1.0",
        ),
        (
            with(valid(), "/cdiVersion", json!(0.6)),
            "cdiVersion: \"0.6\" is not a CDI version; there are 0.1.0 to 1.1.0",
        ),
        (
            with(valid(), "/kind", "device".into()),
            "kind: \"device\" is no kind: vendor/class, as amd.com/gpu",
        ),
        (
            with(valid(), "/devices", json!([])),
            "devices: a spec without a device is invalid",
        ),
        (
            with(valid(), "/devices", json!({})),
            "devices: must be a list of objects",
        ),
        (
            with(valid(), "/devices/0/name", json!([])),
            "devices[0].name: must be text",
        ),
        (
            with(valid(), "/devices/0/name", "a b".into()),
            "devices[0].name: \"a b\" is no device name: letters, digits and `_-.:`, with a \
             letter or digit at both ends",
        ),
        (
            spec(&json!({})),
            "devices[0].containerEdits: a device without edits is invalid",
        ),
        (
            spec(&json!({"deviceNodes": [{"path": "/dev/x", "mode": 1}]})),
            "devices[0].containerEdits.deviceNodes[0].mode: no version of CDI has this field",
        ),
        (
            spec(&json!({"deviceNodes": [{}]})),
            "devices[0].containerEdits.deviceNodes[0].path: missing",
        ),
        (
            spec(&json!({"deviceNodes": [{"path": "/dev/x", "type": "x"}]})),
            "devices[0].containerEdits.deviceNodes: /dev/x: \"x\" is no type of a node: b, c, u or p",
        ),
        (
            spec(&json!({"deviceNodes": [{"path": "/dev/x", "permissions": "rwx"}]})),
            "devices[0].containerEdits.deviceNodes: /dev/x: \"rwx\" are no permissions: of r, w and m",
        ),
        (
            spec(&json!({"additionalGids": [-1]})),
            "devices[0].containerEdits.additionalGids[0]: must be a number from 0 to 4294967295",
        ),
        (
            spec(&json!({"env": "A=b"})),
            "devices[0].containerEdits.env: must be a list of texts",
        ),
    ] {
        assert_eq!(told(&spec), [expected]);
    }
}

#[test]
fn two_devices_of_a_name_are_a_fault() {
    let device = valid()["devices"][0].clone();
    let spec = with(valid(), "/devices", json!([device.clone(), device]));
    assert_eq!(
        told(&spec),
        ["devices[1].name: \"dev\" is the name of another device of this spec"]
    );
}

#[test]
fn every_fault_is_found_and_not_the_first_alone() {
    let spec =
        json!({"cdiVersion": "0.5.0", "devices": [{"name": "a"}], "x": 1, "annotations": {}});
    assert_eq!(
        told(&spec),
        [
            "devices[0].containerEdits: missing",
            "x: no version of CDI has this field",
            "annotations: CDI 0.5.0 does not have this field: it came with 0.6.0",
            "kind: missing",
        ]
    );
}
