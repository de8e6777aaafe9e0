//! Devices, kernel parameters, propagation, protected paths and the like.

use serde_json::{Value, json};

use super::row::{NEW, Row, Verdict};
use super::runner::check;

fn device(fields: Value) -> Row {
    Row::push("/linux/devices", fields)
}

fn rule(fields: Value) -> Row {
    Row::push("/linux/resources/devices", fields)
}

#[test]
fn devices() {
    let node = json!({"path": "/dev/x", "type": "c", "major": 1, "minor": 3});
    check(&[
        device(node.clone()),
        Row::set("/linux/devices", json!([node, node])),
        device(json!({"path": "/dev/null", "type": "c", "major": 1, "minor": 3})),
        device(json!({"path": "/dev/x/y/z", "type": "c", "major": 1, "minor": 3})),
        device(json!({"path": "/dev/x", "type": "u", "major": 1, "minor": 3})),
        device(json!({"path": "/dev/pipe", "type": "p"})),
        device(json!({"path": "/dev/x", "type": "c", "fileMode": 0o100_666, "uid": 1, "gid": 1})),
        device(json!({"path": "/dev/x", "type": "a", "major": 1, "minor": 3}))
            .refused("device type"),
        device(json!({"path": "/dev/x", "type": "char", "major": 1, "minor": 3}))
            .refused("device type"),
        device(json!({"path": "/dev/x", "major": 1, "minor": 3})).refused("device type"),
        device(json!({"type": "c\0"})).refused("linux.devices[0].type has a NUL byte"),
        device(json!(null)).refused("device type"),
        device(json!({"path": "/dev/x", "type": "c", "major": -1, "minor": 3}))
            .refused("major of the device"),
        device(json!({"path": "/dev/x", "type": "c", "major": 1, "minor": 4_294_967_296_i64}))
            .refused("minor of the device")
            .but_runc(Verdict::Accepted, "runc makes the node 1:0 of it"),
    ]);
}

#[test]
fn rules_of_devices() {
    check(&[
        Row::set("/linux/resources", json!({})),
        Row::set("/linux/resources/devices", json!([])),
        rule(json!({"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm"})),
        rule(json!({"allow": true, "type": "c", "major": -1, "minor": -1, "access": "m"})),
        rule(json!({"allow": true, "type": "c", "major": 226, "minor": -1, "access": "rwm"})),
        rule(json!({"allow": true, "type": "c", "major": 226, "access": "r"})),
        rule(json!({"allow": true, "type": "b", "access": "mwr"})),
        rule(json!({"allow": true, "type": "a", "access": "rwm"})),
        rule(json!({"allow": true, "type": "", "access": "rwm"})),
        rule(json!({"allow": true, "access": "rwm"})),
        rule(json!({"access": "rwm"})),
        rule(json!({"allow": true, "type": "c"}))
            .refused("device access at 7 field cannot be empty"),
        rule(json!({"allow": true, "type": "c", "access": ""})).refused("cannot be empty"),
        rule(json!({"allow": true, "type": "p", "access": "rwm"})).refused("type"),
        rule(json!({"allow": true, "type": "c", "major": 1, "minor": 3, "access": "x"}))
            .refused("access")
            .but_runc(
                Verdict::Accepted,
                "runc takes it for no access, and says nothing",
            ),
        rule(json!({"allow": true, "type": "c", "major": -2, "minor": 3, "access": "r"}))
            .refused("major"),
        rule(json!(null)).refused("cannot be empty"),
    ]);
}

#[test]
fn kernel_parameters() {
    let sysctl = |name: &str, value: &str| Row::set("/linux/sysctl", json!({name: value}));
    check(&[
        Row::set("/linux/sysctl", json!({})),
        sysctl("net.ipv4.ip_forward", "1"),
        sysctl("net/ipv4/ip_forward", "1"),
        sysctl("kernel.msgmax", "65536"),
        sysctl("kernel.domainname", "x"),
        sysctl("kernel.hostname", "x").refused("conflicts with the OCI \"hostname\" field"),
        sysctl("kernel.panic", "1").refused("is not in a separate kernel namespace"),
        sysctl("vm.swappiness", "1").refused("is not in a separate kernel namespace"),
        sysctl("user.max_user_namespaces", "1").refused("without a user namespace not allowed"),
        sysctl("", "1").refused("is not in a separate kernel namespace"),
        sysctl("net.no.such", "1").refused_late(""),
        sysctl("net.../../kernel/panic", "1").refused_late(""),
        sysctl("net.ipv4.ip_forward", "many").refused_late(""),
        sysctl("net.ipv4.ip_forward\0", "1").refused("linux.sysctl has a NUL byte"),
        sysctl("net.ipv4.ip_forward", "1\0").refused("has a NUL byte"),
    ]);
}

#[test]
fn propagation() {
    let set = |value: &str| Row::set("/linux/rootfsPropagation", json!(value));
    check(&[
        set(""),
        set("private"),
        set("rprivate"),
        set("slave"),
        set("rslave"),
        set("shared"),
        set("rshared"),
        set("unbindable"),
        set("runbindable").but_runc(
            Verdict::Refused,
            "runc cannot bind the root filesystem after that",
        ),
        set("no-such").refused("rootfsPropagation=no-such is not supported"),
        set("rrprivate").refused("rootfsPropagation=rrprivate is not supported"),
        set("r").refused("rootfsPropagation=r is not supported"),
        set("PRIVATE").refused("rootfsPropagation=PRIVATE is not supported"),
    ]);
}

#[test]
fn protected_paths() {
    let masked = |paths| Row::set("/linux/maskedPaths", paths);
    let read_only = |paths| Row::set("/linux/readonlyPaths", paths);
    check(&[
        masked(json!([])),
        masked(json!(["/proc/kcore", "/proc/kcore"])),
        masked(json!(["/no/such/path"])),
        masked(json!(["/proc/../proc/kcore"])),
        masked(json!(["/etc/passwd"])),
        masked(json!(["/proc/kcore\0"])).refused("linux.maskedPaths[0] has a NUL byte"),
        read_only(json!([])),
        read_only(json!(["/no/such/path"])),
        read_only(json!(["/proc/sys", "/proc/sys"])),
        read_only(json!(["/proc/sys\0"])).refused("linux.readonlyPaths[0] has a NUL byte"),
        Row::set("/linux/mountLabel", json!("")),
    ]);
}

#[test]
fn fields_of_newer_runcs() {
    let set = |pointer: &str, value| Row::set(&format!("/linux/{pointer}"), value);
    let ignored = |row: Row| row.but_runc(Verdict::Accepted, NEW);
    check(&[
        ignored(set("personality", json!({})).refused("invalid personality domain")),
        ignored(set("personality", json!({"domain": "X"})).refused("invalid personality domain X")),
        set("personality", json!({"domain": "LINUX"})),
        ignored(set("memoryPolicy", json!({})).refused("invalid memory policy mode")),
        ignored(
            set(
                "memoryPolicy",
                json!({"mode": "MPOL_DEFAULT", "flags": ["X"]}),
            )
            .refused("invalid memory policy flag"),
        ),
        ignored(
            set(
                "memoryPolicy",
                json!({"mode": "MPOL_DEFAULT", "nodes": "0-7"}),
            )
            .refused("requires 0 nodes but got 8"),
        ),
        ignored(
            set("memoryPolicy", json!({"mode": "MPOL_BIND"}))
                .refused("requires at least one node but got 0"),
        ),
        ignored(
            set(
                "memoryPolicy",
                json!({"mode": "MPOL_BIND", "nodes": "0-9876543210"}),
            )
            .refused("invalid memory policy nodes"),
        ),
        ignored(set("netDevices", json!({"a/b": {}})).refused("invalid network device name")),
        ignored(
            set("netDevices", json!({"a": {"name": ".."}})).refused("invalid network device name"),
        ),
        ignored(set("netDevices", json!({"": {}})).refused("invalid network device name")),
        set("netDevices", json!({})),
    ]);
}
