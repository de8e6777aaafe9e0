use serde_json::json;

use super::*;

fn told(value: &Value) -> Vec<String> {
    foreign(&value.to_string(), value)
}

/// A spec with this one device.
fn with_device(device: Value) -> Value {
    json!({"cdiVersion": "0.6.0", "kind": "amd.com/gpu", "devices": [device]})
}

/// A spec of GPU 0 with these edits.
fn with_edits(edits: Value) -> Value {
    with_device(json!({"name": "0", "containerEdits": edits}))
}

#[test]
fn nothing_is_foreign_in_what_we_write() {
    let spec = json!({
        "cdiVersion": "0.7.0",
        "kind": "amd.com/gpu",
        "annotations": {
            "org.mobyproject.buildkit.device.autoallow": "true",
            "org.mobyproject.buildkit.device.class": "gpu",
        },
        "devices": [
            {"name": "10", "containerEdits": {
                "deviceNodes": [
                    {"path": "/dev/kfd", "hostPath": "/host/dev/kfd"},
                    {"path": "/dev/dri/card1", "hostPath": "/host/dev/dri/card1"},
                    {"path": "/dev/dri/renderD128"},
                ],
                "additionalGids": [44, 992],
            }},
            {"name": "0xE3AA140F9A5F9E31", "containerEdits": {"deviceNodes": []}},
            {"name": "0000:c1:00.0", "containerEdits": {"deviceNodes": []}},
            {"name": "all", "containerEdits": {"deviceNodes": [{"path": "/dev/kfd"}]}},
        ],
    });
    assert_eq!(told(&spec), [""; 0]);
}

#[test]
fn nothing_is_foreign_in_what_the_go_toolkit_writes() {
    let node = |path: &str| {
        json!({
            "path": path, "type": "c", "major": 235, "fileMode": 432, "permissions": "rwm",
            "uid": 0, "gid": 109,
        })
    };
    let spec = json!({
        "cdiVersion": "0.6.0",
        "kind": "amd.com/gpu",
        "devices": [{"name": "0", "containerEdits": {
            "deviceNodes": [node("/dev/dri/card1"), node("/dev/dri/renderD128"), node("/dev/kfd")],
        }}],
        "containerEdits": {},
    });
    assert_eq!(told(&spec), [""; 0]);
}

#[test]
fn each_thing_of_somebody_else_is_named() {
    let node = |node: Value| with_edits(json!({"deviceNodes": [node]}));
    for (spec, expected) in [
        (
            with_device(json!({"name": "training", "containerEdits": {"env": ["A=b"]}})),
            r#"device "training""#,
        ),
        // Which we write as 0xE3AA140F9A5F9E31.
        (
            with_device(json!({"name": "GPU-e3aa140f9a5f9e31"})),
            r#"device "GPU-e3aa140f9a5f9e31""#,
        ),
        (
            with_device(json!({"name": "0", "annotations": {"a": "b"}})),
            r#""annotations" of device "0""#,
        ),
        (
            with_edits(json!({"env": ["A=b"]})),
            r#""env" of device "0""#,
        ),
        (
            with_edits(json!({"mounts": [{"hostPath": "/a", "containerPath": "/a"}]})),
            r#""mounts" of device "0""#,
        ),
        (
            node(json!({"path": "/dev/infiniband/uverbs0"})),
            r#"node "/dev/infiniband/uverbs0" of device "0""#,
        ),
        (
            node(json!({"path": "/dev/dri/card1", "permissions": "rw"})),
            r#""permissions" of node "/dev/dri/card1" of device "0""#,
        ),
        (
            node(json!({"path": "/dev/kfd", "uid": 1000})),
            r#""uid" of node "/dev/kfd" of device "0""#,
        ),
        (
            node(json!({"path": "/dev/dri/card1", "hostPath": "/dev/dri/card7"})),
            r#""hostPath" of node "/dev/dri/card1" of device "0""#,
        ),
        (
            json!({"kind": "amd.com/gpu", "containerEdits": {"env": ["A=b"]}}),
            r#""env" of all devices"#,
        ),
        (
            json!({"kind": "amd.com/gpu", "annotations": {"a": "b"}}),
            r#"the annotation "a""#,
        ),
        (
            json!({"annotations": {"org.mobyproject.buildkit.device.autoallow": "false"}}),
            r#"the annotation "org.mobyproject.buildkit.device.autoallow""#,
        ),
        (json!({"x-owner": "ops"}), r#"the field "x-owner""#),
    ] {
        assert_eq!(told(&spec), [expected], "{spec}");
    }
}

#[test]
fn what_says_nothing_is_not_foreign() {
    for spec in [
        with_edits(json!({"env": [], "hooks": null, "intelRdt": {}})),
        json!({"annotations": null, "containerEdits": {"mounts": []}, "x": null}),
    ] {
        assert_eq!(told(&spec), [""; 0], "{spec}");
    }
}

#[test]
fn a_comment_is_somebodys_and_a_sign_in_a_text_is_none() {
    let spec = json!({});
    for (text, expected) in [
        (
            "kind: amd.com/gpu\n# of the whole rack\n",
            Some("a comment in line 2"),
        ),
        (
            "kind: \"amd.com/gpu\"   # by hand",
            Some("a comment in line 1"),
        ),
        ("hostPath: /srv/#1/dev/kfd\n", None),
        ("hostPath: \"/srv/ #1/dev/kfd\"\n", None),
        ("hostPath: '/srv/ #1/dev/kfd'\n", None),
    ] {
        let found = foreign(text, &spec);
        assert_eq!(found.first().map(String::as_str), expected, "{text}");
    }
}
