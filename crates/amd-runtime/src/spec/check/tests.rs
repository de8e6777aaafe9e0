//! What the rules refuse and take. Each of these is compared with runc, too, in the
//! integration tests' table of specs.

use serde_json::json;

use super::*;

fn good() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {"cwd": "/", "args": ["sh"], "env": ["PATH=/bin"]},
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]},
    })
}

fn with(pointer: &str, value: Value) -> Result<(), SpecError> {
    let mut spec = good();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    spec.pointer_mut(parent).unwrap()[key] = value;
    check(&mut spec)
}

#[test]
fn a_plain_spec_is_taken() {
    check(&mut good()).unwrap();
}

#[test]
fn fields_that_may_be_missing_may_be_missing() {
    for pointer in ["/ociVersion", "/process/env", "/linux/namespaces", "/linux"] {
        with(pointer, Value::Null).unwrap();
    }
}

#[test]
fn bad_fields_are_refused_by_name() {
    for (pointer, value, says) in [
        ("/ociVersion", json!("2.0.0"), "ociVersion"),
        ("/root", json!(null), "root must be specified"),
        ("/root/path", json!(""), "root.path"),
        ("/root/path", json!("a\0b"), "root.path has a NUL byte"),
        (
            "/process",
            json!(null),
            "process property must not be empty",
        ),
        (
            "/process/cwd",
            json!(null),
            "Cwd property must not be empty",
        ),
        ("/process/cwd", json!("tmp"), "Cwd must be an absolute path"),
        ("/process/selinuxLabel", json!("a:b:c:s0"), "selinux label"),
        ("/process/args", json!([]), "args must not be empty"),
        (
            "/process/args",
            json!(["a\0b"]),
            "process.args[0] has a NUL byte",
        ),
        ("/process/env", json!(["=x"]), "name cannot be empty"),
        ("/process/env", json!(["X"]), "missing '='"),
        ("/process/env", json!([null]), "missing '='"),
        (
            "/process/rlimits",
            json!([{"type": "RLIMIT_X"}]),
            "rlimit type",
        ),
        ("/process/oomScoreAdj", json!(1001), "oomScoreAdj"),
        ("/hostname", json!("a"), "without a private UTS namespace"),
        ("/hostname", json!("a".repeat(65)), "64 bytes"),
        ("/mounts", json!([{"type": "tmpfs"}]), "destination"),
        (
            "/linux/namespaces",
            json!([{"type": "pid"}, {"type": "pid"}]),
            "duplicated ns",
        ),
        ("/linux/namespaces", json!([{}]), "does not exist"),
        (
            "/linux/uidMappings",
            json!([{"size": 1}]),
            "user namespace isn't enabled",
        ),
        ("/linux/cgroupsPath", json!("/../.."), "root of the cgroups"),
        (
            "/linux/rootfsPropagation",
            json!("rx"),
            "rootfsPropagation=rx",
        ),
        (
            "/linux/sysctl",
            json!({"net.x": "1"}),
            "host network namespace",
        ),
        (
            "/linux/devices",
            json!([{"path": "/dev/x"}]),
            "invalid device type",
        ),
        (
            "/linux/resources",
            json!({"devices": [{"allow": false}]}),
            "device access at 0 field cannot be empty",
        ),
        (
            "/linux/seccomp",
            json!({"defaultAction": "SCMP_ACT_NOTIFY"}),
            "cannot be used as default action",
        ),
        (
            "/hooks",
            json!({"prestart": [{"path": "x"}]}),
            "hooks.prestart",
        ),
        (
            "/hooks",
            json!({"poststop": [{"path": "/x", "timeout": 0}]}),
            "timeout of /x",
        ),
    ] {
        let message = with(pointer, value.clone()).unwrap_err().to_string();
        assert!(message.contains(says), "{pointer} = {value}: {message}");
    }
}

#[test]
fn a_process_by_itself_is_checked_as_one_in_a_spec() {
    let mut process = json!({"cwd": "/", "args": ["a", null], "env": null});
    check_process(&mut process).unwrap();
    assert_eq!(process, json!({"cwd": "/", "args": ["a", ""]}));
    for process in [json!(null), json!([]), json!({"cwd": 5, "args": ["a"]})] {
        assert!(check_process(&mut process.clone()).is_err(), "{process}");
    }
}
