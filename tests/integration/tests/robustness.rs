//! What is left when commands are killed, race each other or find their state damaged.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Child, Command, Stdio};

use integration::bundle::Bundle;
use integration::crash;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::outcome::code;
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use integration::strace;
use serde_json::{Value, json};

const ID: &str = "c";

fn host(cgroups: Cgroups) -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, cgroups)
}

fn bundle<'h>(host: &'h SimulatedHost, id: &str) -> Bundle<'h> {
    let spec = Spec::docker().env("AMD_VISIBLE_DEVICES=0");
    Bundle::new(host, id, spec.args(&["sleep", "1000"]))
}

/// Checks that no container, no cgroup and no process is there.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn assert_nothing_left(host: &SimulatedHost, runtime: &Runtime<'_>, what: &str) {
    let state = host.inside(|| fs::read_dir(runtime.root()).map(Iterator::count));
    assert_eq!(state.unwrap().unwrap_or(0), 0, "{what}: state");
    assert_eq!(
        host.cgroups().unwrap(),
        Vec::<std::path::PathBuf>::new(),
        "{what}"
    );
    let processes = host.processes_that_stay().unwrap();
    assert_eq!(processes, Vec::<String>::new(), "{what}");
}

#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn start_all(host: &SimulatedHost, commands: impl Iterator<Item = Command>) -> Vec<Child> {
    commands
        .map(|mut command| {
            let command = command.stdout(Stdio::null()).stderr(Stdio::null());
            host.spawn(command).unwrap()
        })
        .collect()
}

/// The exit codes of programs, and how many ended with each.
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn codes(children: Vec<Child>) -> BTreeMap<i32, usize> {
    let mut codes = BTreeMap::new();
    for mut child in children {
        *codes.entry(code(child.wait().unwrap())).or_default() += 1;
    }
    codes
}

#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn a_killed_create_is_cleared(cgroups: Cgroups, clear: impl Fn(&Runtime<'_>, &Bundle<'_>)) {
    let Some(host) = require::host_with(mi300x::PRESET, cgroups) else {
        return;
    };
    if !require::programs(&["strace"]) {
        return;
    }
    let runtime = Runtime::under_test(&host);
    let bundle = bundle(&host, ID);
    let dir = bundle.path().to_string_lossy();
    let create = ["create", "--bundle", &*dir, ID];
    let calls = crash::calls(&host, &runtime, &create).unwrap();
    runtime.call(&["delete", "--force", ID]).ok();
    assert!(calls.len() > 200, "{calls:?}");

    let mut killed = 0;
    for call in calls.iter().skip(150).step_by(20) {
        killed += usize::from(crash::killed_at(&host, &runtime, call, &create).unwrap());
        clear(&runtime, &bundle);
        assert_nothing_left(&host, &runtime, &format!("{call:?}"));
    }
    assert!(killed > 10, "killed {killed} times only");
}

#[test]
fn delete_by_force_clears_a_create_that_was_killed() {
    for cgroups in [Cgroups::V1, Cgroups::V2] {
        a_killed_create_is_cleared(cgroups, |runtime, _| {
            runtime.call(&["delete", "--force", ID]).ok();
        });
    }
}

#[test]
fn the_next_create_takes_over_from_one_that_was_killed() {
    for cgroups in [Cgroups::V1, Cgroups::V2] {
        a_killed_create_is_cleared(cgroups, |runtime, bundle| {
            let again = runtime.create(bundle);
            // At the very end the container was finished already.
            assert!(
                again.code == 0 || again.stderr.contains("already exists"),
                "{again}"
            );
            assert_eq!(runtime.state(ID)["status"], "created");
            runtime.call(&["delete", "--force", ID]).ok();
        });
    }
}

#[test]
fn what_a_killed_create_has_forked_is_waited_for() {
    const TRACE: &str = "/run/trace-of-forked";
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    if !require::programs(&["strace"]) {
        return;
    }
    let runtime = Runtime::under_test(&host);
    let bundle = bundle(&host, ID);
    let dir = bundle.path().to_string_lossy();
    let create = runtime.command(&["create", "--bundle", &*dir, ID]);
    // Killed while it waits for the process that joins the cgroups, which takes its time to make
    // sure that they are there.
    let kill = "inject=recvmsg:signal=KILL:when=1";
    let delay = "inject=mkdir:delay_enter=50000";
    let options = ["-f", "-e", "trace=recvmsg,mkdir", "-e", kill, "-e", delay];
    let traced = strace::command(&create, TRACE, &options);
    let mut traced = start_all(&host, std::iter::once(traced));
    integration::runtime::eventually("the create is killed", || {
        let trace = host.inside(|| fs::read_to_string(TRACE)).unwrap();
        trace.is_ok_and(|trace| trace.contains("+++ killed by SIGKILL +++"))
    });

    runtime.call(&["delete", "--force", ID]).ok();
    for traced in &mut traced {
        traced.wait().unwrap();
    }
    assert_nothing_left(&host, &runtime, "killed");
}

/// Kills the command of `words` at every `step`th of its system calls from number `first` on, each
/// time after `prepare`; `recover` then ends the container, of which nothing is left.
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn a_killed_command_is_made_good(
    words: &[&str],
    (first, step): (usize, usize),
    prepare: impl Fn(&Runtime<'_>, &Bundle<'_>),
    recover: impl Fn(&Runtime<'_>, &str),
) {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    if !require::programs(&["strace"]) {
        return;
    }
    let runtime = Runtime::under_test(&host);
    let bundle = bundle(&host, ID);
    prepare(&runtime, &bundle);
    let calls = crash::calls(&host, &runtime, words).unwrap();
    runtime.call(&["delete", "--force", ID]).ok();

    let mut killed = 0;
    for call in calls.iter().skip(first).step_by(step) {
        prepare(&runtime, &bundle);
        killed += usize::from(crash::killed_at(&host, &runtime, call, words).unwrap());
        let what = format!("{call:?}");
        recover(&runtime, &what);
        assert_nothing_left(&host, &runtime, &what);
    }
    assert!(killed > 2, "killed {killed} times only");
}

#[test]
fn a_delete_that_was_killed_can_be_repeated() {
    let delete = ["delete", "--force", ID];
    let up = |runtime: &Runtime<'_>, bundle: &Bundle<'_>| runtime.up(bundle);
    a_killed_command_is_made_good(&delete, (100, 30), up, |runtime, _| {
        runtime.call(&delete).ok();
    });
}

#[test]
fn after_a_start_that_was_killed_the_container_waits_or_runs() {
    let create = |runtime: &Runtime<'_>, bundle: &Bundle<'_>| {
        runtime.create(bundle).ok();
    };
    a_killed_command_is_made_good(&["start", ID], (20, 10), create, |runtime, what| {
        // It fails where the program is on its way already.
        let again = runtime.start(ID);
        integration::runtime::eventually(&format!("{what}: it runs ({again})"), || {
            runtime.state(ID)["status"] == "running"
        });
        runtime.call(&["delete", "--force", ID]).ok();
    });
}

#[test]
fn of_many_creates_of_one_id_one_succeeds() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let bundle = bundle(&host, ID);
    let dir = bundle.path().to_string_lossy();
    let creates = (0..20).map(|_| runtime.command(&["create", "--bundle", &*dir, ID]));
    let children = start_all(&host, creates);
    assert_eq!(codes(children), BTreeMap::from([(0, 1), (1, 19)]));

    runtime.start(ID).ok();
    runtime.exec(ID, &["true"]).ok();
    runtime.call(&["delete", "--force", ID]).ok();
    assert_nothing_left(&host, &runtime, "20 creates");
}

#[test]
fn containers_of_many_ids_can_be_run_at_once() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let bundles: Vec<_> = (0..20)
        .map(|n| Bundle::new(&host, &format!("c{n}"), Spec::docker().sh("exit 7")))
        .collect();
    let runs = bundles.iter().map(|bundle| {
        let dir = bundle.path().to_string_lossy();
        runtime.command(&["run", "--bundle", &dir, bundle.id()])
    });
    let children = start_all(&host, runs);
    assert_eq!(codes(children), BTreeMap::from([(7, 20)]));
    assert_nothing_left(&host, &runtime, "20 runs");
}

#[test]
fn delete_by_force_clears_a_container_with_a_damaged_file() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let bundle = bundle(&host, ID);
    for file in [
        "container.json",
        "config.json",
        "libcontainer/c/state.json",
        "libcontainer/c/youki_config.json",
    ] {
        for text in ["", "{\"id\": 5", "{\"id\": 5}"] {
            runtime.up(&bundle);
            let path = runtime.root().join(ID).join(file);
            host.inside(|| fs::write(&path, text)).unwrap().unwrap();
            runtime.call(&["delete", "--force", ID]).ok();
            assert_nothing_left(&host, &runtime, &format!("{file} {text:?}"));
        }
    }
}

#[test]
fn a_stranger_that_has_the_pid_of_a_dead_init_is_left_alone() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, ID));
    // The record of a container whose init has gone and whose pid another process got.
    let record = runtime.root().join(ID).join("container.json");
    // Told apart by when they started, in ticks of 10 ms (proc_pid_stat(5), starttime).
    std::thread::sleep(std::time::Duration::from_millis(30));
    let mut stranger = host
        .spawn(Command::new("sh").args(["-c", "echo $$ >/run/stranger; exec sleep 1000"]))
        .unwrap();
    integration::runtime::eventually("the stranger runs", || {
        let pid = host.inside(|| fs::read_to_string("/run/stranger")).unwrap();
        pid.is_ok_and(|pid| pid.ends_with('\n'))
    });
    let forge = || -> anyhow::Result<()> {
        let pid: i32 = fs::read_to_string("/run/stranger")?.trim().parse()?;
        let mut value: Value = serde_json::from_slice(&fs::read(&record)?)?;
        value["init"]["pid"] = json!(pid);
        Ok(fs::write(&record, value.to_string())?)
    };
    host.inside(forge).unwrap().unwrap();

    assert_eq!(runtime.state(ID)["status"], "stopped");
    assert_ne!(runtime.kill(ID, "KILL").code, 0);
    runtime.call(&["delete", "--force", ID]).ok();
    assert!(stranger.try_wait().unwrap().is_none(), "it was killed");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_cgroup_that_is_in_use_is_refused_and_its_processes_live_on() {
    for cgroups in [Cgroups::V1, Cgroups::V2] {
        let Some(host) = require::host_with(mi300x::PRESET, cgroups) else {
            continue;
        };
        let runtime = Runtime::under_test(&host);
        let path = format!("{}/shared", host.cgroup());
        let sleeper = Spec::docker().cgroups_path(&path).args(&["sleep", "1000"]);
        runtime.up(&Bundle::new(&host, "first", sleeper.clone()));
        let stderr = runtime
            .create(&Bundle::new(&host, "second", sleeper))
            .fails(1);
        assert!(
            stderr.contains("container's cgroup is not empty"),
            "{stderr}"
        );
        assert_eq!(runtime.state("first")["status"], "running");
        runtime.exec("first", &["true"]).ok();
    }
}
