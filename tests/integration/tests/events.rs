//! `events`, as runc prints them.

use std::fs::File;
use std::process::{Child, Stdio};

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::require;
use integration::runtime::{Runtime, eventually};
use integration::spec::Spec;
use serde_json::{Value, json};

const ID: &str = "c";

fn host(cgroups: Cgroups) -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, cgroups)
}

fn sleeper() -> Spec {
    Spec::docker().args(&["sleep", "1000"])
}

/// `events` at work, its output in a file.
struct Events {
    child: Child,
    output: tempfile::NamedTempFile,
}

#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
impl Events {
    fn start(host: &SimulatedHost, runtime: &Runtime<'_>, options: &[&str]) -> Self {
        let output = tempfile::NamedTempFile::new().unwrap();
        let mut command = runtime.command(&[&["events"], options, &[ID]].concat());
        command
            .stdout(File::create(output.path()).unwrap())
            .stderr(Stdio::inherit());
        let child = host.spawn(&mut command).unwrap();
        Self { child, output }
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.output.path()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Its exit code, once it has ended by itself.
    fn code(&mut self) -> Option<i32> {
        let mut code = None;
        eventually("events ends", || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        code.and_then(|status| status.code())
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .map(|map| map.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

#[test]
fn statistics_have_runcs_shape() {
    for cgroups in [Cgroups::V1, Cgroups::V2] {
        let Some(host) = require::host_with(mi300x::PRESET, cgroups) else {
            continue;
        };
        let runtime = Runtime::under_test(&host);
        runtime.up(&Bundle::new(&host, ID, sleeper()));
        let line = runtime.call(&["events", "--stats", ID]).ok();
        assert!(
            line.starts_with(r#"{"type":"stats","id":"c","data":{"cpu":{"#),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1);
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            keys(&event["data"]),
            [
                "cpu",
                "cpuset",
                "memory",
                "pids",
                "blkio",
                "hugetlb",
                "intel_rdt",
                "network_interfaces",
            ]
        );
        assert_eq!(event["data"]["pids"]["current"], 1, "{cgroups:?}");
        assert!(
            event["data"]["cpu"]["usage"]["total"].as_u64() > Some(0),
            "{line}"
        );
    }
}

#[test]
fn statistics_of_v1_are_those_of_every_controller() {
    if !require::cgroup_v1() {
        return;
    }
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let spec = sleeper()
        .set("/linux/resources/memory", json!({"limit": 64 << 20}))
        .set("/linux/resources/pids", json!({"limit": 20}));
    runtime.up(&Bundle::new(&host, ID, spec));
    // The init came to its cgroup when it was built, and so without memory that counts there: what
    // does is its program's.
    let mut event = Value::Null;
    eventually("its program uses memory", || {
        let line = runtime.call(&["events", "--stats", ID]).ok();
        event = serde_json::from_str(&line).unwrap();
        event["data"]["memory"]["usage"]["usage"].as_u64() > Some(0)
    });
    let data = &event["data"];
    assert_eq!(data["memory"]["usage"]["limit"], 64 << 20);
    assert!(data["memory"]["usage"]["usage"].as_u64() > Some(0));
    assert!(data["memory"]["raw"]["rss"].is_u64());
    assert_eq!(data["pids"]["limit"], 20);
    assert!(
        !data["cpu"]["usage"]["percpu"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert!(!data["cpuset"]["cpus"].as_array().unwrap().is_empty());
}

#[test]
fn events_go_on_until_the_container_stops() {
    for cgroups in [Cgroups::V1, Cgroups::V2] {
        let Some(host) = require::host_with(mi300x::PRESET, cgroups) else {
            continue;
        };
        let runtime = Runtime::under_test(&host);
        runtime.up(&Bundle::new(&host, ID, sleeper()));
        let mut events = Events::start(&host, &runtime, &["--interval", "50ms"]);
        eventually("there are two events", || events.lines().len() >= 2);
        runtime.kill(ID, "KILL").ok();
        assert_eq!(events.code(), Some(0));
        assert!(
            events
                .lines()
                .iter()
                .all(|line| line.starts_with(r#"{"type":"stats","id":"c","#))
        );
    }
}

#[test]
fn a_lack_of_memory_is_an_event() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let limit = json!({"limit": 32 << 20, "swap": 32 << 20});
    let spec = sleeper().set("/linux/resources/memory", limit);
    runtime.up(&Bundle::new(&host, ID, spec));
    let mut events = Events::start(&host, &runtime, &["--interval", "50ms"]);
    eventually("it watches", || !events.lines().is_empty());
    let hog = "x=$(dd if=/dev/zero bs=1M count=100 | tr '\\0' a)";
    let killed = runtime.exec(ID, &["sh", "-c", hog]);
    assert_ne!(killed.code, 0, "{killed}");
    eventually("there is an event", || {
        events
            .lines()
            .iter()
            .any(|line| line == r#"{"type":"oom","id":"c"}"#)
    });
    runtime.call(&["delete", "--force", ID]).ok();
    assert_eq!(events.code(), Some(0));
}

#[test]
fn between_two_events_can_be_any_time_that_go_knows() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    let all = ["2562047h", "1m30s", "100us"];
    let all = all.map(|interval| Events::start(&host, &runtime, &["--interval", interval]));
    let message = runtime
        .call(&["events", "--interval", "2562048h", ID])
        .fails(1);
    assert!(message.contains("invalid duration"), "{message}");
    runtime.kill(ID, "KILL").ok();
    for mut events in all {
        assert_eq!(events.code(), Some(0));
    }
}

#[test]
fn events_need_a_container_that_runs_and_a_time_between_two() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    let stderr = runtime.call(&["events", "--interval", "0s", ID]).fails(1);
    assert!(
        stderr.contains("duration interval must be greater than 0"),
        "{stderr}"
    );
    runtime.kill(ID, "KILL").ok();
    runtime.wait_stopped(ID);
    let stderr = runtime.call(&["events", "--stats", ID]).fails(1);
    assert!(
        stderr.contains("container with id c is not running"),
        "{stderr}"
    );
}
