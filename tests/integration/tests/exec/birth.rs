//! An executed process is born in the container's cgroup: to be moved there it would wait for the
//! kernel.

use std::fs;

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::runtime::Runtime;
use integration::spec::Spec;
use integration::{mi300x, require, strace};
use serde_json::json;

const ID: &str = "c";
const TRACE: &str = "/run/trace-of-exec";

fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, Cgroups::V2).filter(|_| require::programs(&["strace"]))
}

/// The cgroup that an executed process is in, and the system calls of `exec` with cgroups; `options` are strace's.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn traced(host: &SimulatedHost, runtime: &Runtime<'_>, options: &[&str]) -> (String, String) {
    let exec = runtime.command(&["exec", ID, "cat", "/proc/self/cgroup"]);
    let options = [&["-f", "-e", "trace=?open,openat,clone3"], options].concat();
    let printed = strace::run(host, &exec, TRACE, &options).unwrap().ok();
    let trace = host.inside(|| fs::read_to_string(TRACE)).unwrap().unwrap();
    let words = ["cgroup.procs", "CLONE_INTO_CGROUP"];
    let calls = trace
        .lines()
        .filter(|line| words.iter().any(|word| line.contains(word)));
    let place = printed.lines().find(|line| line.starts_with("0::"));
    (
        place.unwrap_or(&printed).to_owned(),
        calls.collect::<Vec<_>>().join("\n"),
    )
}

#[test]
fn an_executed_process_is_moved_to_no_cgroup() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = Spec::docker().args(&["sleep", "1000"]);
    let own = spec
        .clone()
        .push("/linux/namespaces", json!({"type": "cgroup"}));
    for (spec, place) in [
        (spec, format!("0::{}/{ID}", host.cgroup())),
        (own, "0::/".to_owned()),
    ] {
        runtime.up(&Bundle::new(&host, ID, spec));
        let (seen, calls) = traced(&host, &runtime, &[]);
        assert_eq!(seen, place);
        assert!(calls.contains("CLONE_INTO_CGROUP"), "{calls}");
        assert!(!calls.contains("cgroup.procs"), "{calls}");
        runtime.call(&["delete", "--force", ID]).ok();
    }
}

#[test]
fn where_it_cannot_be_born_there_it_is_moved() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = Spec::docker().args(&["sleep", "1000"]);
    runtime.up(&Bundle::new(&host, ID, spec));
    for error in ["ENOSYS", "EBUSY", "ENOENT", "EAGAIN"] {
        let inject = format!("inject=clone3:error={error}");
        let (seen, calls) = traced(&host, &runtime, &["-e", &inject]);
        assert_eq!(seen, format!("0::{}/{ID}", host.cgroup()), "{error}");
        assert!(calls.contains("cgroup.procs"), "{error}: {calls}");
    }
}
