//! `linux.namespaces`, and fields that need one.

use serde_json::json;

use super::row::{NEW, Row, Verdict, namespaces};
use super::runner::check;

const DOCKER: [&str; 5] = ["mount", "network", "uts", "pid", "ipc"];

#[test]
fn kinds_and_paths() {
    let set = |value| Row::set("/linux/namespaces", value);
    let more = |value| Row::push("/linux/namespaces", value);
    check(&[
        set(namespaces(&DOCKER)),
        more(json!({"type": "cgroup"})),
        more(json!({"type": "pid"})).refused("duplicated ns"),
        more(json!({"type": "no-such-namespace"})).refused("does not exist"),
        more(json!({"type": "PID"})).refused("does not exist"),
        more(json!({"type": ""})).refused("does not exist"),
        more(json!({})).refused("does not exist"),
        more(json!(null)).refused("does not exist"),
        more(json!({"type": "cgroup", "path": ""})),
        more(json!({"type": "cgroup", "path": "/no/such/namespace"}))
            .refused_late("no/such/namespace"),
        more(json!({"type": "cgroup", "path": "/etc/hostname"})).refused_late(""),
        more(json!({"type": "cgroup", "path": "/proc/self/ns/cgroup\0"}))
            .refused("linux.namespaces[5].path has a NUL byte"),
        more(json!({"type": "cgroup", "path": "/proc/1/ns/cgroup"})),
    ]);
}

#[test]
fn fields_that_need_a_namespace() {
    let without = |kind: &str| {
        let kinds: Vec<&str> = DOCKER.into_iter().filter(|ns| *ns != kind).collect();
        Row::set("/linux/namespaces", namespaces(&kinds))
    };
    let mapping = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    check(&[
        without("uts").refused("unable to set hostname without a private UTS namespace"),
        without("mount").refused("unable to restrict sys entries without a private MNT namespace"),
        without("network"),
        without("ipc"),
        Row::set("/linux/uidMappings", mapping.clone())
            .refused("user namespace isn't enabled in the config")
            .but_runc(Verdict::Accepted, "runc refuses it from 1.2 on"),
        Row::set("/linux/gidMappings", mapping)
            .refused("user namespace isn't enabled in the config")
            .but_runc(Verdict::Accepted, "runc refuses it from 1.2 on"),
        Row::push("/linux/namespaces", json!({"type": "user"})).refused("nor mappings to apply"),
        Row::set("/linux/timeOffsets", json!({"monotonic": {"secs": 5}}))
            .refused("time namespace isn't enabled")
            .but_runc(Verdict::Accepted, NEW),
        Row::edit("domainname without uts", |spec| {
            spec.set("/hostname", json!(null))
                .set("/domainname", json!("x"))
                .set(
                    "/linux/namespaces",
                    namespaces(&["mount", "pid", "ipc", "network"]),
                )
        })
        .refused("unable to set domainname without a private UTS namespace")
        .but_runc(Verdict::Accepted, NEW),
    ]);
}
