//! What an executed process may do: no more than the container that it joins.

use integration::bundle::Bundle;
use integration::host::SimulatedHost;
use integration::mi300x::{self, listing, nodes};
use integration::probe::{self, SHELL, Seen};
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use serde_json::{Value, json};

use crate::CGROUPS;

const ID: &str = "c";
const STATUS: &str = "grep -E '^(Cap|NoNewPrivs|Seccomp:|Sig(Blk|Ign))' /proc/self/status";

fn host() -> Option<SimulatedHost> {
    require::host_with(mi300x::PRESET, CGROUPS)
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
fn a_created_container_can_be_executed_in() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = Spec::docker().args(&["sleep", "1000"]);
    runtime.create(&Bundle::new(&host, ID, spec)).ok();
    assert_eq!(runtime.exec(ID, &["echo", "hello"]).ok(), "hello\n");
    assert_eq!(runtime.state(ID)["status"], "created");
    runtime.start(ID).ok();
    assert_eq!(runtime.state(ID)["status"], "running");
}

#[test]
fn a_process_that_a_signal_ends_gives_128_and_its_number() {
    let Some(host) = host() else { return };
    let runtime = up(&host, Spec::docker());
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("USR1", 138)] {
        let script = format!("kill -{signal} $$");
        let outcome = runtime.exec(ID, &["sh", "-c", &script]);
        assert_eq!(outcome.code, code, "{outcome}");
    }
}

#[test]
fn a_process_has_the_limits_of_the_container_where_it_names_none() {
    let Some(host) = host() else { return };
    let limit = |hard: u32| json!([{"type": "RLIMIT_NOFILE", "soft": 10, "hard": hard}]);
    let runtime = up(&host, Spec::docker().set("/process/rlimits", limit(12)));
    let script = "ulimit -Sn; ulimit -Hn";
    assert_eq!(runtime.exec(ID, &["sh", "-c", script]).ok(), "10\n12\n");
    let of_init = runtime
        .exec(ID, &["grep", "open files", "/proc/1/limits"])
        .ok();
    let fields: Vec<_> = of_init.split_whitespace().collect();
    assert_eq!(fields[3..5], ["10", "12"]);
    let process = json!({
        "args": ["sh", "-c", script], "cwd": "/", "env": ["PATH=/bin"], "rlimits": limit(20),
    });
    let file = "/run/process.json";
    let written = host.inside(|| std::fs::write(file, process.to_string()));
    written.unwrap().unwrap();
    let words = ["exec", "--process", file, ID];
    assert_eq!(runtime.call(&words).ok(), "10\n20\n");
}

#[test]
fn a_process_that_ignores_that_the_container_is_paused_runs_once_it_is_resumed() {
    let Some(host) = host() else { return };
    let runtime = up(&host, Spec::docker());
    runtime.call(&["pause", ID]).ok();
    let mut command = runtime.command(&["exec", "--ignore-paused", ID, "touch", "/dev/shm/ran"]);
    let mut waiting = host.spawn(&mut command).unwrap();
    let pids = || runtime.call(&["ps", "--format", "json", ID]).ok();
    integration::runtime::eventually("it is in the container's cgroup", || pids().contains(','));
    runtime.call(&["resume", ID]).ok();
    assert!(waiting.wait().unwrap().success());
    runtime.exec(ID, &["test", "-e", "/dev/shm/ran"]).ok();
}

/// As a shell hands it over with `--process <(...)`.
#[test]
fn a_process_is_read_from_a_descriptor() {
    let Some(host) = host() else { return };
    let runtime = up(&host, Spec::docker());
    let process = json!({"args": ["ls", "/proc/self/fd"], "cwd": "/", "env": ["PATH=/bin"]});
    let written = host.inside(|| std::fs::write("/run/process.json", process.to_string()));
    written.unwrap().unwrap();
    let command = runtime.command(&["exec", "--process", "/dev/fd/9", ID]);
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", "cat /run/process.json | \"$@\" 9<&0 </dev/null", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    let outcome = integration::outcome::Outcome::of(&host, &mut shell).unwrap();
    // The list itself is opened as the next one.
    assert_eq!(
        outcome.ok().split_whitespace().collect::<Vec<_>>(),
        ["0", "1", "2", "3"]
    );
}

/// A runtime without CAP_SYS_RESOURCE may not change the limits of another user's process.
#[test]
fn users_who_are_not_root_have_limits_too() {
    let Some(host) = host() else { return };
    let limit = json!([{"type": "RLIMIT_NOFILE", "soft": 20, "hard": 30}]);
    let spec = Spec::docker()
        .set("/process/rlimits", limit)
        .set("/process/user", json!({"uid": 1000, "gid": 1000}));
    let runtime = up(&host, spec);
    for pid in ["1", "self"] {
        let limits = format!("/proc/{pid}/limits");
        let line = runtime.exec(ID, &["grep", "open files", &limits]).ok();
        let fields: Vec<_> = line.split_whitespace().collect();
        assert_eq!(fields[3..5], ["20", "30"], "{pid}: {line}");
    }
}

#[test]
fn preserved_descriptors_are_inherited_and_others_are_not() {
    let Some(host) = host() else { return };
    let runtime = up(&host, Spec::docker());
    let with_files = |preserve: &str, script: &str| {
        let shell = "exec 3</etc/hostname 4</etc/hostname 5</etc/hostname; exec \"$@\"";
        let mut command = runtime.command(&["exec", "--preserve-fds", preserve, ID]);
        command.args(["sh", "-c", script]);
        let mut through = std::process::Command::new("sh");
        through
            .args(["-c", shell, "sh"])
            .arg(command.get_program())
            .args(command.get_args());
        integration::outcome::Outcome::of(&host, &mut through).unwrap()
    };
    // The list itself is opened as the next one.
    let list = "cd /proc/self/fd && echo *";
    assert_eq!(with_files("2", list).ok(), "0 1 2 3 4 5\n");
    assert_eq!(with_files("0", list).ok(), "0 1 2 3\n");
    let refused = with_files("900", list).fails(255);
    assert!(refused.contains("unable to stat preserved-fd"), "{refused}");
}

#[test]
fn a_container_that_is_created_holds_no_file_of_the_host() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host).option(&["--log", "/run/log"]);
    let bundle = Bundle::new(&host, ID, Spec::docker().args(&["sleep", "1000"]));
    let mut command = runtime.command(&["create", "--bundle"]);
    command.arg(bundle.path()).arg(ID);
    let mut through = std::process::Command::new("sh");
    through
        .args(["-c", "exec 7</etc 9</etc/hostname; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args());
    integration::outcome::Outcome::of(&host, &mut through)
        .unwrap()
        .ok();
    let pid = runtime.state(ID)["pid"].to_string();
    let open = host.inside(|| {
        let dir = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        dir.map(|entry| {
            let entry = entry.unwrap();
            let fd: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
            (fd, std::fs::read_link(entry.path()).unwrap())
        })
        .collect::<Vec<_>>()
    });
    for (fd, target) in open.unwrap().into_iter().filter(|(fd, _)| *fd > 2) {
        let target = target.to_str().unwrap();
        let is_channel = ["socket:[", "pipe:["]
            .iter()
            .any(|kind| target.starts_with(kind));
        assert!(is_channel, "{fd} -> {target}");
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

/// A cgroup in which a process can be: a new cpuset has no CPU and no memory.
fn make_cgroup(dir: &std::path::Path) -> std::io::Result<()> {
    std::fs::create_dir(dir)?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if let Ok(value) = std::fs::read(dir.with_file_name(file)) {
            std::fs::write(dir.join(file), value)?;
        }
    }
    Ok(())
}

#[test]
fn a_process_in_a_cgroup_below_the_containers_opens_its_gpus_alone() {
    let Some(host) = host() else { return };
    let runtime = up(&host, Spec::docker().env("AMD_VISIBLE_DEVICES=0,1"));
    for dir in host.cgroups().unwrap() {
        let made = host.inside(|| make_cgroup(&dir.join("below")));
        made.unwrap().unwrap();
    }
    let look = |script: &str| {
        let script = format!("{SHELL}{script}");
        let words = ["exec", "--cgroup", "below", ID, "sh", "-c", &script];
        probe::parse(&runtime.call(&words).ok())
    };
    let granted = look("gpus");
    assert_eq!(listing(&granted), nodes(&[0, 1]));
    assert!(granted.iter().all(Seen::allowed), "{granted:#?}");
    let forged = look(&mi300x::forge(2));
    assert_eq!(forged.len(), 2);
    assert!(forged.iter().all(Seen::denied), "{forged:#?}");
}

/// Scripts pass on a variable that may be empty; to runc that is no directory either.
#[test]
fn an_empty_working_directory_is_the_containers() {
    let Some(host) = require::host(mi300x::PRESET, CGROUPS) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let spec = Spec::docker()
        .args(&["sleep", "1000"])
        .set("/process/cwd", json!("/tmp"));
    runtime.up(&Bundle::new(&host, "cwd", spec));
    let words = ["exec", "--cwd", "", "cwd", "pwd"];
    assert_eq!(runtime.call(&words).ok(), "/tmp\n");
}
