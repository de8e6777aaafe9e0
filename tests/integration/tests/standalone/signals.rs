//! `kill`, and what else acts on the processes of a container.

use std::fs;

use integration::bundle::Bundle;
use integration::host::SimulatedHost;
use integration::runtime::{Runtime, eventually};
use integration::spec::Spec;
use serde_json::json;

use crate::fixture::{host, sleeper};

/// A container in the PID namespace of the host, with an exec'd process beside its program.
fn without_pid_namespace<'h>(host: &'h SimulatedHost) -> Runtime<'h> {
    let runtime = Runtime::under_test(host);
    let spec = sleeper(Spec::minimal()).set("/linux/namespaces", json!([{"type": "mount"}]));
    runtime.up(&Bundle::new(host, "c", spec));
    runtime
        .call(&["exec", "--detach", "c", "sleep", "2000"])
        .ok();
    runtime
}

#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn kill_init(host: &SimulatedHost, runtime: &Runtime<'_>) {
    runtime.kill("c", "TERM").ok();
    // The program is `sleep`, which TERM ends, and nobody else.
    runtime.wait_stopped("c");
    eventually("the other process is there", || {
        host.processes()
            .unwrap()
            .iter()
            .any(|line| line == "sleep 2000")
    });
}

#[test]
fn kill_ends_all_processes_where_there_is_no_pid_namespace_to_do_it() {
    let Some(host) = host() else { return };
    let runtime = without_pid_namespace(&host);
    runtime.kill("c", "KILL").ok();
    eventually("all are gone", || host.processes().unwrap().is_empty());
    assert_eq!(runtime.state("c")["status"], "stopped");
}

#[test]
fn kill_ends_what_an_init_without_a_pid_namespace_left_behind() {
    let Some(host) = host() else { return };
    let runtime = without_pid_namespace(&host);
    kill_init(&host, &runtime);
    runtime.kill("c", "KILL").ok();
    eventually("all are gone", || host.processes().unwrap().is_empty());
    let stderr = runtime.kill("c", "KILL").fails(1);
    assert!(stderr.contains("container not running"), "{stderr}");
}

#[test]
fn delete_ends_what_an_init_without_a_pid_namespace_left_behind() {
    let Some(host) = host() else { return };
    let runtime = without_pid_namespace(&host);
    kill_init(&host, &runtime);
    runtime.delete("c").ok();
    assert_eq!(host.processes().unwrap(), [""; 0]);
    assert_eq!(host.cgroups().unwrap().len(), 0);
}

#[test]
fn signals_have_names_and_numbers_and_0_asks() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let script = "trap 'echo got >> /out/signals' USR1; echo ready > /out/ready; \
                  while :; do sleep 0.05; done";
    let bundle = Bundle::new(&host, "c", Spec::docker().sh(script));
    runtime.up(&bundle);
    eventually("the trap is set", || bundle.read("/out/ready").is_ok());
    for (times, signal) in ["USR1", "SIGUSR1", "usr1", "10"].into_iter().enumerate() {
        runtime.kill("c", signal).ok();
        eventually(signal, || {
            let got = bundle.read("/out/signals").unwrap_or_default();
            got.lines().count() == times + 1
        });
    }
    runtime.kill("c", "0").ok();
    for signal in ["NOPE", "65", "SIG"] {
        let stderr = runtime.kill("c", signal).fails(1);
        assert!(stderr.contains("unknown signal"), "{stderr}");
    }
    runtime.kill("c", "KILL").ok();
    runtime.wait_stopped("c");
    let stderr = runtime.kill("c", "0").fails(1);
    assert!(stderr.contains("container not running"), "{stderr}");
    // runc's word for engines that signal what may have gone.
    runtime.call(&["kill", "--all", "c", "0"]).ok();
}

#[test]
fn what_ends_runcs_init_ends_a_container_that_waits_for_its_start() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", sleeper(Spec::docker()));
    for signal in ["TERM", "INT", "HUP", "QUIT"] {
        runtime.create(&bundle).ok();
        runtime.kill("c", signal).ok();
        runtime.wait_stopped("c");
        runtime.delete("c").ok();
    }
    runtime.create(&bundle).ok();
    runtime.kill("c", "USR1").ok();
    assert_eq!(runtime.state("c")["status"], "created");
    runtime.start("c").ok();
    assert_eq!(runtime.state("c")["status"], "running");
}

#[test]
fn a_paused_container_dies_when_it_is_killed() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, "c", sleeper(Spec::docker())));
    runtime.call(&["pause", "c"]).ok();
    assert_eq!(runtime.state("c")["status"], "paused");
    runtime.kill("c", "KILL").ok();
    runtime.wait_stopped("c");
}

#[test]
fn list_and_ps_tell_what_runs() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    assert_eq!(runtime.call(&["ps", "c"]).code, 1);
    runtime.up(&Bundle::new(&host, "c", sleeper(Spec::docker())));
    let pid = runtime.state("c")["pid"].to_string();

    let listed = runtime.call(&["list", "--format", "json"]).ok();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed[0]["id"], &listed[0]["owner"]),
        (&json!("c"), &json!("root"))
    );
    let table = runtime.call(&["list"]).ok();
    let header: Vec<_> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(
        header,
        ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]
    );
    assert_eq!(runtime.call(&["list", "-q"]).ok(), "c\n");

    assert_eq!(
        runtime.call(&["ps", "--format", "json", "c"]).ok(),
        format!("[{pid}]\n")
    );
    let rows = runtime.call(&["ps", "c", "-e", "-o", "pid,args"]).ok();
    let rows: Vec<_> = rows.lines().skip(1).map(str::trim).collect();
    assert_eq!(rows, [format!("{pid} sleep 1000")]);

    runtime.kill("c", "KILL").ok();
    runtime.wait_stopped("c");
    assert_eq!(
        runtime.call(&["ps", "--format", "json", "c"]).ok(),
        "null\n"
    );
    assert_eq!(runtime.call(&["ps", "c"]).ok().lines().count(), 1);
    runtime.delete("c").ok();
    assert_eq!(runtime.call(&["list", "--format", "json"]).ok(), "null\n");
}

#[test]
fn the_roots_of_other_runtimes_are_not_listed() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let stderr = runtime.call(&["list"]).fails(1);
    assert!(stderr.contains("/run/runtime-root"), "{stderr}");
    host.inside(|| fs::create_dir_all(runtime.root()))
        .unwrap()
        .unwrap();
    assert_eq!(runtime.call(&["list"]).ok().lines().count(), 1);
}
