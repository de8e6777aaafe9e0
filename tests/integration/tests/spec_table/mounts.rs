//! `mounts`.

use serde_json::{Value, json};

use super::row::{NEW, Row, Verdict};
use super::runner::check;

fn tmpfs(destination: &str, options: Value) -> Row {
    Row::push(
        "/mounts",
        json!({"destination": destination, "type": "tmpfs", "source": "tmpfs", "options": options}),
    )
}

fn bind(destination: &str, source: &str, options: Value) -> Row {
    Row::push(
        "/mounts",
        json!({"destination": destination, "type": "bind", "source": source, "options": options}),
    )
}

#[test]
fn destinations() {
    check(&[
        tmpfs("/tmp", json!([])),
        tmpfs("/tmp/../tmp/./", json!([])),
        tmpfs("/../../../tmp", json!([])),
        tmpfs("/made/by/the/runtime", json!([])),
        tmpfs("tmp", json!([])).warned("tmp is not absolute"),
        tmpfs("../../tmp", json!([])).warned("is not absolute"),
        tmpfs("/tmp\0x", json!([])).refused("mounts[7].destination has a NUL byte"),
        tmpfs("/etc/passwd", json!([])).refused_late(""),
        tmpfs("", json!([])).refused("destination must not be empty"),
        Row::push("/mounts", json!({"type": "tmpfs"})).refused("destination must not be empty"),
        Row::push("/mounts", json!(null)).refused("destination must not be empty"),
        Row::push("/mounts", json!({"destination": "/tmp", "type": "tmpfs"})),
    ]);
}

#[test]
fn types_and_sources() {
    let mount = |mount| Row::push("/mounts", mount);
    check(&[
        mount(json!({"destination": "/tmp", "type": "no-such-fs"})).refused_late("/tmp"),
        mount(json!({"destination": "/tmp", "type": "tmp\0fs"}))
            .refused("mounts[7].type has a NUL"),
        mount(json!({"destination": "/tmp"})).refused_late(""),
        bind("/mnt", "/no/such/source", json!(["bind"])).refused_late("/no/such/source"),
        bind("/mnt", "/etc\0x", json!(["bind"])).refused("mounts[7].source has a NUL byte"),
        bind("/mnt", "/etc/../etc", json!(["bind"])),
        bind("/mnt", "rootfs/etc", json!(["bind"])),
        bind("/mnt/file", "/etc/hostname", json!(["bind", "ro"])),
        bind("/mnt", "/etc", json!(["rbind", "ro", "nosuid", "rprivate"])),
        mount(json!({"destination": "/mnt", "source": "/etc", "options": ["bind"]})),
        mount(
            json!({"destination": "/mnt", "type": "tmpfs", "source": "/etc", "options": ["bind"]}),
        ),
    ]);
}

#[test]
fn options() {
    check(&[
        tmpfs("/tmp", json!(null)),
        tmpfs("/tmp", json!([""])),
        tmpfs("/tmp", json!(["ro", "rw", "ro"])),
        tmpfs("/tmp", json!(["size=1m", "mode=700"])),
        tmpfs("/tmp", json!(["no-such-option"])).refused_late("/tmp"),
        tmpfs("/tmp", json!(["size=lots"])).refused_late("/tmp"),
        tmpfs("/tmp", json!(["nosuid\0"])).refused("mounts[7].options[0] has a NUL byte"),
        tmpfs(
            "/tmp",
            json!(["private", "nodev", "noatime", "nodiratime", "relatime"]),
        ),
    ]);
}

#[test]
fn mappings_of_ids() {
    let mapping = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    let mount = |kind: &str, uids: &Value, gids: &Value| {
        let mut options = vec![];
        if kind == "bind" {
            options.push("bind");
        }
        Row::push(
            "/mounts",
            json!({"destination": "/mnt", "type": kind, "source": "/etc", "options": options,
                "uidMappings": uids, "gidMappings": gids}),
        )
    };
    let none = Value::Null;
    check(&[
        mount("tmpfs", &mapping, &mapping)
            .refused("id-mapped mounts are only supported for bind-mounts")
            .but_runc(Verdict::Accepted, NEW),
        mount("bind", &mapping, &none)
            .refused("must have both uid and gid mappings")
            .but_runc(Verdict::Accepted, NEW),
        mount("bind", &none, &mapping)
            .refused("must have both uid and gid mappings")
            .but_runc(Verdict::Accepted, NEW),
        mount("bind", &json!([]), &json!([])),
    ]);
}
