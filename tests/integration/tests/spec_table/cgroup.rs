//! `linux.cgroupsPath` and `linux.resources`.

use serde_json::{Value, json};

use super::row::Row;
use super::runner::check;

fn resource(name: &str, value: Value) -> Row {
    Row::set(&format!("/linux/resources/{name}"), value)
}

#[test]
fn paths() {
    let path = |path: &str| Row::set("/linux/cgroupsPath", json!(path));
    check(&[
        path("@CGROUP@/a/../b"),
        path("@CGROUP@//a/"),
        path("/../../..@CGROUP@"),
        // runc removes then all cgroups of the machine that are empty.
        path("/").refused("root of the cgroups").without_runc(),
        path("..").refused("root of the cgroups").without_runc(),
        path("/a/..").refused("root of the cgroups").without_runc(),
        path("@CGROUP@/a\0b").refused("linux.cgroupsPath has a NUL byte"),
    ]);
}

#[test]
fn limits() {
    check(&[
        resource(
            "memory",
            json!({"limit": 64 << 20, "reservation": 32 << 20}),
        ),
        resource("memory", json!({"limit": -1})),
        resource("memory", json!({"limit": 1})).refused_late(""),
        resource("memory", json!({"swappiness": 50})),
        resource("memory", json!({"swappiness": 300})).refused_late(""),
        resource("memory", json!({"kernel": 1 << 20})).warned("Kernel memory settings are ignored"),
        resource(
            "cpu",
            json!({"shares": 512, "quota": 50_000, "period": 100_000}),
        ),
        resource("cpu", json!({"shares": 0, "quota": 0, "period": 0})),
        resource("cpu", json!({"quota": -1})),
        resource("cpu", json!({"period": 1})).refused_late(""),
        resource("cpu", json!({"cpus": "0", "mems": "0"})),
        resource("cpu", json!({"cpus": "100000"})).refused_late(""),
        resource("cpu", json!({"cpus": "x"})).refused_late(""),
        resource("pids", json!({"limit": 100})),
        resource("pids", json!({"limit": -1})),
        resource("pids", json!({})),
        resource("unified", json!({})),
        resource("unified", json!({"pids.max": "1"})).refused("cannot use unified on cgroup v1"),
        resource("unified", json!({"../pids.max": "1"})).refused("invalid configuration"),
    ]);
}
