//! Containers of a user who is not root, by command line: with a user namespace that the spec asks
//! for, and in one that the user has made.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, Instant};

use integration::host::SimulatedHost;
use integration::outcome::Outcome;
use integration::runtime::eventually;
use integration::spec::Spec;
use serde_json::{Value, json};

use crate::fixture::{
    HOME, UID, as_user, assert_gpus_0_and_1, bundle, call, call_in_namespace, host, look,
    runtime_words, with_user_namespace, without_terminal_group,
};

const TWO_GPUS: &str = "AMD_VISIBLE_DEVICES=0,1";

/// A name, what has to be changed in a spec, and how the runtime is called.
type Way = (
    &'static str,
    fn(Spec) -> Spec,
    fn(&SimulatedHost, &[&str]) -> Outcome,
);

const WAYS: [Way; 2] = [
    ("user", with_user_namespace, call),
    ("namespace", without_terminal_group, call_in_namespace),
];

#[track_caller]
fn run(host: &SimulatedHost, spec: Spec) -> [Outcome; 2] {
    WAYS.map(|(id, prepare, call)| {
        let bundle = bundle(host, id, prepare(spec.clone()));
        call(
            host,
            &["run", "--bundle", bundle.path().to_str().unwrap(), id],
        )
    })
}

#[test]
fn a_container_is_root_of_its_namespace_and_the_user_outside() {
    let Some(host) = host() else { return };
    for outcome in run(&host, Spec::docker().sh("id -u; touch /out/made; exit 3")) {
        assert_eq!((outcome.stdout.trim(), outcome.code), ("0", 3), "{outcome}");
    }
    for (id, ..) in WAYS {
        use std::os::unix::fs::MetadataExt;
        let made = Path::new("/run/bundles").join(id).join("rootfs/out/made");
        let made = host.inside(|| fs::metadata(made)).unwrap().unwrap();
        assert_eq!(made.uid(), UID);
    }
}

#[test]
fn a_container_has_the_gpus_that_it_asks_for_and_no_others() {
    let Some(host) = host() else { return };
    for outcome in run(&host, Spec::docker().env(TWO_GPUS).sh(&look(""))) {
        assert_gpus_0_and_1(&outcome.ok());
    }
}

#[test]
fn a_container_can_have_a_seccomp_agent() {
    let Some(host) = host() else { return };
    let listener = host.inside(|| {
        let listener = UnixListener::bind("/run/agent.sock").unwrap();
        fs::set_permissions("/run/agent.sock", PermissionsExt::from_mode(0o777)).unwrap();
        listener
    });
    let listener = listener.unwrap();
    let spec = Spec::docker().sh("echo ran").set(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "listenerPath": "/run/agent.sock",
            "syscalls": [{"names": ["mkdir", "sendmsg"], "action": "SCMP_ACT_NOTIFY"}],
        }),
    );
    for outcome in run(&host, spec) {
        assert_eq!(outcome.ok(), "ran\n");
        assert!(listener.accept().is_ok());
    }
}

#[test]
fn another_gpus_node_cannot_be_made() {
    let Some(host) = host() else { return };
    let script = "mknod /tmp/forged c 226 129; ls /tmp";
    let spec = Spec::docker().env(TWO_GPUS).sh(script);
    for outcome in run(&host, spec) {
        assert!(
            outcome.stderr.contains("Operation not permitted"),
            "{outcome}"
        );
        assert_eq!(outcome.stdout, "", "{outcome}");
    }
}

#[test]
fn what_is_not_enforced_is_said_where_there_are_gpus() {
    let Some(host) = host() else { return };
    for outcome in run(&host, Spec::docker().env(TWO_GPUS).args(&["true"])) {
        assert!(
            outcome.stderr.contains("its device rules are not enforced"),
            "{outcome}"
        );
    }
    for outcome in run(&host, Spec::docker().args(&["true"])) {
        assert_eq!(outcome.stderr, "", "{outcome}");
    }
}

#[test]
fn a_user_without_the_groups_of_the_gpus_cannot_open_them() {
    let Some(host) = host() else { return };
    let spec = with_user_namespace(Spec::docker().env(TWO_GPUS).sh(&look("")));
    let bundle = bundle(&host, "c", spec);
    let words = runtime_words(&["run", "--bundle", bundle.path().to_str().unwrap(), "c"]);
    let seen = Outcome::of(&host, &mut as_user(false, &words))
        .unwrap()
        .ok();
    let seen = integration::probe::parse(&seen);
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|node| !node.allowed()), "{seen:#?}");
}

#[test]
fn with_never_a_container_whose_rules_are_not_enforced_does_not_start() {
    let Some(host) = host() else { return };
    let spec = with_user_namespace(Spec::docker().env(TWO_GPUS).args(&["true"]));
    let bundle = bundle(&host, "c", spec);
    let path = bundle.path().to_str().unwrap();
    let refused = call(
        &host,
        &["--rootless", "false", "run", "--bundle", path, "c"],
    );
    assert!(refused.fails(1).contains("Permission denied"));
}

#[test]
fn every_command_works_that_needs_no_cgroup() {
    let Some(host) = host() else { return };
    for (id, prepare, call) in WAYS {
        let spec = prepare(Spec::docker().env(TWO_GPUS).args(&["sleep", "1000"]));
        let bundle = bundle(&host, id, spec);
        let path = bundle.path().to_str().unwrap();
        // Who joins a namespace is in the one above it.
        let enter = |words: &[&str]| match id {
            "user" => call(&host, words),
            _ => in_the_same(&host, id, words),
        };
        call(&host, &["create", "--bundle", path, id]).ok();
        let pid = state(&host, id)["pid"].to_string();
        assert_eq!(state(&host, id)["status"], "created");
        crate::fixture::call(&host, &["start", id]).ok();
        assert_eq!(state(&host, id)["status"], "running");
        let script = look("");
        assert_gpus_0_and_1(&enter(&["exec", id, "sh", "-c", &script]).ok());
        let listed = crate::fixture::call(&host, &["list", "--quiet"]).ok();
        assert_eq!(listed.trim(), id);
        crate::fixture::call(&host, &["kill", id, "KILL"]).ok();
        eventually("the container stops", || {
            state(&host, id)["status"] == "stopped"
        });
        crate::fixture::call(&host, &["delete", id]).ok();
        assert!(
            !host
                .inside(|| Path::new("/proc").join(pid).exists())
                .unwrap()
        );
        let left = host.inside(|| fs::read_dir(format!("{HOME}/amd-container-runtime")));
        assert_eq!(left.unwrap().unwrap().count(), 0);
    }
}

#[track_caller]
fn state(host: &SimulatedHost, id: &str) -> Value {
    serde_json::from_str(&call(host, &["state", id]).ok()).unwrap()
}

/// Runs a command in the user namespace of a container's init, which is that of its caller.
#[track_caller]
fn in_the_same(host: &SimulatedHost, id: &str, words: &[&str]) -> Outcome {
    let pid = state(host, id)["pid"].to_string();
    let enter = ["nsenter", "--preserve-credentials", "-U", "-t", &pid];
    let words = [&enter[..], &runtime_words(words)].concat();
    Outcome::of(host, &mut as_user(true, &words)).unwrap()
}

#[test]
fn ids_of_others_cannot_be_mapped_and_the_error_says_who_can() {
    let Some(host) = host() else { return };
    let more = serde_json::json!({"containerID": 1, "hostID": 100_000, "size": 65536});
    let spec = with_user_namespace(Spec::docker().args(&["true"])).push("/linux/uidMappings", more);
    let bundle = bundle(&host, "c", spec);
    let path = bundle.path().to_str().unwrap();
    let message = call(&host, &["run", "--bundle", path, "c"]).fails(1);
    assert!(
        message.contains("linux.uidMappings: this user can map one id, 4242 on the host"),
        "{message}"
    );
    assert!(message.contains("hint: "), "{message}");
}

#[test]
fn limits_need_a_cgroup_and_are_refused_without_one() {
    let Some(host) = host() else { return };
    let spec = Spec::docker()
        .args(&["true"])
        .set("/linux/resources/pids", serde_json::json!({"limit": 5}));
    for outcome in run(&host, spec) {
        let message = outcome.fails(1);
        assert!(
            message.contains("container could not join or create cgroup"),
            "{message}"
        );
        assert!(message.contains("hint: "), "{message}");
    }
}

#[test]
fn a_cgroup_that_the_spec_names_and_that_cannot_be_made_is_an_error() {
    let Some(host) = host() else { return };
    for outcome in run(&host, Spec::docker().args(&["true"]).cgroups_path("/named")) {
        assert!(outcome.fails(1).contains("Permission denied"));
    }
}

#[test]
fn a_create_that_fails_leaves_nothing_and_is_not_slow() {
    let Some(host) = host() else { return };
    let timed = |program: &str| {
        let begin = Instant::now();
        (run(&host, Spec::docker().args(&[program])), begin.elapsed())
    };
    let (started, usual) = timed("true");
    for outcome in started {
        outcome.ok();
    }
    let (failed, elapsed) = timed("/no/such/program");
    for outcome in failed {
        assert!(outcome.fails(1).contains("no such file or directory"));
    }
    let limit = usual * 3 + Duration::from_secs(5);
    assert!(
        elapsed < limit,
        "{elapsed:?}, and {usual:?} where it starts"
    );
    let left = host.inside(|| fs::read_dir(format!("{HOME}/amd-container-runtime")));
    assert_eq!(left.unwrap().unwrap().count(), 0);
}

#[test]
fn an_exclusive_gpu_is_for_no_rootless_container() {
    let Some(host) = host() else { return };
    let ctk = integration::binary::ours("amd-ctk", "amd-ctk").unwrap();
    for words in [
        &["gpu-tracker", "enable"][..],
        &["gpu-tracker", "1", "exclusive"],
    ] {
        let mut command = std::process::Command::new(&ctk);
        Outcome::of(&host, command.args(words)).unwrap().ok();
    }
    for outcome in run(&host, Spec::docker().env(TWO_GPUS).args(&["true"])) {
        let message = outcome.fails(1);
        assert!(
            message.contains("GPUs [1] are exclusive, and no rootless container"),
            "{message}"
        );
    }
    let shared = Spec::docker().env("AMD_VISIBLE_DEVICES=0").args(&["true"]);
    for outcome in run(&host, shared) {
        outcome.ok();
    }
}

#[test]
fn without_a_cgroup_processes_are_found_by_their_pid_namespace() {
    let Some(host) = host() else { return };
    let spec = with_user_namespace(Spec::docker().sh("sleep 1000 & sleep 1001 & wait"));
    let bundle = bundle(&host, "c", spec);
    let path = bundle.path().to_str().unwrap();
    call(&host, &["run", "--detach", "--bundle", path, "c"]).ok();
    let pids = || -> Vec<i32> {
        let json = call(&host, &["ps", "--format", "json", "c"]).ok();
        serde_json::from_str(&json).unwrap()
    };
    eventually("three processes", || pids().len() == 3);
    call(&host, &["kill", "--all", "c", "KILL"]).ok();
    eventually("the container stops", || {
        state(&host, "c")["status"] == "stopped"
    });
    call(&host, &["delete", "c"]).ok();
}

#[test]
fn a_container_in_the_hosts_pid_namespace_is_killed_by_its_init() {
    let Some(host) = host() else { return };
    let spec = with_user_namespace(Spec::docker().args(&["sleep", "1000"]));
    let namespaces: Vec<Value> = spec.json()["linux"]["namespaces"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|namespace| namespace["type"] != "pid")
        .cloned()
        .collect();
    let spec = spec
        .set("/linux/namespaces", namespaces.into())
        .without_mount("/proc")
        .set("/linux/maskedPaths", Value::Null)
        .set("/linux/readonlyPaths", Value::Null);
    let bundle = bundle(&host, "c", spec);
    let path = bundle.path().to_str().unwrap();
    call(&host, &["run", "--detach", "--bundle", path, "c"]).ok();
    call(&host, &["kill", "c", "KILL"]).ok();
    eventually("the container stops", || {
        state(&host, "c")["status"] == "stopped"
    });
    call(&host, &["delete", "c"]).ok();
}

#[test]
fn a_create_that_is_killed_is_cleared_by_a_forced_delete() {
    let Some(host) = host() else { return };
    let spec = with_user_namespace(Spec::docker().args(&["sleep", "1000"]));
    let bundle = bundle(&host, "c", spec);
    let path = bundle.path().to_str().unwrap();
    let before = host.processes().unwrap().len();
    let words = runtime_words(&["create", "--bundle", path, "c"]);
    for delay in (0..120).step_by(6) {
        let mut create = host.spawn(&mut as_user(true, &words)).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(delay));
        create.kill().unwrap();
        create.wait().unwrap();
        call(&host, &["delete", "--force", "c"]).ok();
        let started = || host.processes().unwrap();
        eventually("nothing is left", || started().len() <= before);
        assert_eq!(call(&host, &["list", "--quiet"]).ok(), "", "{delay} ms");
    }
}

#[test]
fn checkpoint_and_restore_are_refused() {
    let Some(host) = host() else { return };
    let bundle = bundle(&host, "c", with_user_namespace(Spec::docker()));
    let path = bundle.path().to_str().unwrap();
    for words in [
        &["checkpoint", "c"][..],
        &["restore", "--bundle", path, "--detach", "c"],
    ] {
        let refused = call(&host, words).fails(1);
        assert!(
            refused.contains("neither checkpointed nor restored"),
            "{refused}"
        );
    }
}
