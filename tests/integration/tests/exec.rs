//! What an executed process may do: no more than the container that it joins.

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x::{self, listing, nodes};
use integration::probe::{self, SHELL, Seen};
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use serde_json::{Value, json};

const ID: &str = "c";
const STATUS: &str = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Sig(Blk|Ign))' /proc/self/status";

fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, Cgroups::V1)
}

/// A container of `spec` that runs until it is killed.
#[track_caller]
fn up(host: &SimulatedHost, spec: Spec) -> Runtime<'_> {
    let runtime = Runtime::under_test(host);
    runtime.up(&Bundle::new(host, ID, spec.args(&["sleep", "1000"])));
    runtime
}

/// A field of what [`STATUS`] prints.
#[track_caller]
fn field<'s>(status: &'s str, name: &str) -> &'s str {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    assert!(line.is_some(), "no {name} in {status}");
    line.unwrap_or_default()
        .trim_start_matches(':')
        .trim_start()
}

#[track_caller]
#[allow(clippy::unwrap_used, reason = "the kernel prints hexadecimal numbers")]
fn mask(status: &str, name: &str) -> u64 {
    u64::from_str_radix(field(status, name), 16).unwrap()
}

/// Allows everything but mkdir.
fn no_mkdir() -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}],
    })
}

#[test]
fn an_executed_process_is_under_the_containers_seccomp_filter() {
    let Some(host) = host() else { return };
    for no_new_privileges in [None, Some(false), Some(true)] {
        for uid in [0, 1000] {
            let mut spec = Spec::docker()
                .user(uid, uid)
                .set("/linux/seccomp", no_mkdir());
            if let Some(set) = no_new_privileges {
                spec = spec.set("/process/noNewPrivileges", json!(set));
            }
            let runtime = up(&host, spec);
            for user in ["0:0", "1000:1000"] {
                let what = format!("noNewPrivileges {no_new_privileges:?}, {uid}, exec as {user}");
                let exec =
                    |script: &str| runtime.call(&["exec", "--user", user, ID, "sh", "-c", script]);
                let refused = exec("mkdir /tmp/made").fails(1);
                assert!(
                    refused.contains("Operation not permitted"),
                    "{what}: {refused}"
                );
                assert_eq!(field(&exec(STATUS).ok(), "Seccomp"), "2", "{what}");
            }
            runtime.call(&["delete", "--force", ID]).ok();
        }
    }
}

#[test]
fn an_executed_process_has_the_capabilities_of_the_container() {
    let Some(host) = host() else { return };
    for seccomp in [Value::Null, no_mkdir()] {
        for uid in [0, 1000] {
            let spec = Spec::docker()
                .user(uid, uid)
                .set("/linux/seccomp", seccomp.clone());
            let runtime = up(&host, spec);
            let of_init = runtime.exec(ID, &["grep", "Cap", "/proc/1/status"]).ok();
            let of_exec = runtime.exec(ID, &["grep", "Cap", "/proc/self/status"]).ok();
            assert_eq!(of_exec, of_init, "uid {uid}, seccomp {seccomp}");
            assert_eq!(mask(&of_init, "CapBnd"), 0xa804_25fb);
            runtime.call(&["delete", "--force", ID]).ok();
        }
    }
}

#[test]
fn a_capability_of_exec_is_added_to_those_of_the_container() {
    const SYS_PTRACE: u64 = 1 << 19;
    let Some(host) = host() else { return };
    let runtime = up(&host, Spec::docker().set("/linux/seccomp", no_mkdir()));
    let plain = runtime.exec(ID, &["sh", "-c", STATUS]).ok();
    let added = runtime
        .call(&["exec", "--cap", "CAP_SYS_PTRACE", ID, "sh", "-c", STATUS])
        .ok();
    for set in ["CapBnd", "CapEff", "CapPrm"] {
        assert_eq!(mask(&added, set), mask(&plain, set) | SYS_PTRACE, "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(mask(&added, set), 0, "{set}");
    }
}

#[test]
fn programs_start_with_no_signal_blocked_and_none_ignored_by_us() {
    const SIGPIPE: u64 = 1 << 12;
    let Some(host) = host() else { return };
    let runtime = up(&host, Spec::docker());
    for process in ["1", "self"] {
        let status = runtime
            .exec(ID, &["cat", &format!("/proc/{process}/status")])
            .ok();
        assert_eq!(mask(&status, "SigBlk"), 0, "{process}");
        assert_eq!(mask(&status, "SigIgn") & SIGPIPE, 0, "{process}");
    }
}

#[test]
fn exec_cannot_leave_the_containers_cgroup() {
    let Some(host) = host() else { return };
    let runtime = up(&host, Spec::docker());
    for path in ["..", "../..", "/..", "/x", "../x", "a/../../x"] {
        let outcome = runtime.call(&["exec", "--cgroup", path, ID, "true"]);
        assert_ne!(outcome.code, 0, "{path}: {outcome}");
    }
    assert!(host.cgroups().is_ok_and(|dirs| {
        let inside = |dir: &std::path::PathBuf| dir.components().any(|c| c.as_os_str() == ID);
        dirs.iter().all(inside)
    }));
}

#[test]
fn a_process_in_a_cgroup_below_the_containers_opens_its_gpus_alone() {
    for cgroups in [Cgroups::V1, Cgroups::V2] {
        let Some(host) = require::host(mi300x::PRESET, cgroups) else {
            return;
        };
        let runtime = up(&host, Spec::docker().env("AMD_VISIBLE_DEVICES=0,1"));
        let look = |script: &str| {
            let script = format!("{SHELL}{script}");
            let words = ["exec", "--cgroup", "below/it", ID, "sh", "-c", &script];
            probe::parse(&runtime.call(&words).ok())
        };
        let granted = look("gpus");
        assert_eq!(listing(&granted), nodes(&[0, 1]));
        assert!(granted.iter().all(Seen::allowed), "{granted:#?}");
        let forged = look(&mi300x::forge(2));
        assert_eq!(forged.len(), 2);
        assert!(forged.iter().all(Seen::denied), "{forged:#?}");
    }
}
