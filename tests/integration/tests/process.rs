//! What the spec says of a process beside its user and rights: how it is scheduled, where its
//! memory comes from, what it takes the machine for, its terminal; and the descriptor of it
//! that an engine asks for.

use std::fs;
use std::io::IoSliceMut;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::outcome::Outcome;
use integration::require;
use integration::runtime::{Runtime, eventually};
use integration::spec::Spec;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use serde_json::{Value, json};

const ID: &str = "c";

/// Policy and nice value (proc_pid_stat(5)).
const SCHEDULING: &str = "cut -d' ' -f19,41 /proc/self/stat";

fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, Cgroups::V1)
}

/// What `script` prints as a container's program, and as a process executed in it.
#[track_caller]
fn in_both(host: &SimulatedHost, spec: &Spec, script: &str) -> [String; 2] {
    let runtime = Runtime::under_test(host);
    let ran = runtime.run(&Bundle::new(host, ID, spec.clone().sh(script)));
    runtime.up(&Bundle::new(host, "other", spec.clone().sh("sleep 1000")));
    let executed = runtime.exec("other", &["sh", "-c", script]);
    runtime.call(&["delete", "--force", "other"]).ok();
    [ran.ok(), executed.ok()]
}

/// What `script` prints in a container of `spec`, executed with these fields of a
/// process.json.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn executed(host: &SimulatedHost, spec: Spec, fields: Value, script: &str) -> String {
    let runtime = Runtime::under_test(host);
    let mut process = json!({
        "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"],
        "args": ["sh", "-c", script],
    });
    for (name, value) in fields.as_object().into_iter().flatten() {
        process[name] = value.clone();
    }
    let file = "/run/process.json";
    let text = process.to_string();
    host.inside(|| fs::write(file, text)).unwrap().unwrap();
    runtime.up(&Bundle::new(host, ID, spec.sh("sleep 1000")));
    let executed = runtime.call(&["exec", "--process", file, ID]);
    runtime.call(&["delete", "--force", ID]).ok();
    executed.ok()
}

#[test]
fn a_process_is_scheduled_as_the_spec_says() {
    let Some(host) = host() else { return };
    let spec = Spec::docker().set(
        "/process/scheduler",
        json!({"policy": "SCHED_BATCH", "nice": 5}),
    );
    assert_eq!(in_both(&host, &spec, SCHEDULING), ["5 3\n", "5 3\n"]);
}

#[test]
fn an_executed_process_is_scheduled_as_its_own_description_says() {
    let Some(host) = host() else { return };
    let idle = json!({"scheduler": {"policy": "SCHED_IDLE"}});
    let policy = "cut -d' ' -f41 /proc/self/stat";
    assert_eq!(executed(&host, Spec::docker(), idle, policy), "5\n");
}

#[test]
fn a_process_has_the_io_priority_of_the_spec() {
    let Some(host) = host() else { return };
    let spec = Spec::docker().set(
        "/process/ioPriority",
        json!({"class": "IOPRIO_CLASS_BE", "priority": 3}),
    );
    let priority = "best-effort: prio 3\n";
    assert_eq!(in_both(&host, &spec, "ionice"), [priority, priority]);
}

#[test]
fn an_executed_process_runs_on_the_cpus_of_its_affinity() {
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() < 2) {
        println!("skipped: needs two CPUs");
        return;
    }
    let Some(host) = host() else { return };
    let script = "grep Cpus_allowed_list /proc/self/status | cut -f2";
    for affinity in [
        json!({"initial": "1", "final": "0"}),
        json!({"initial": "0"}),
    ] {
        let spec = Spec::docker().set("/process/execCPUAffinity", affinity.clone());
        let [ran, executed] = in_both(&host, &spec, script);
        assert_ne!(ran, "0\n", "of exec alone: {affinity}");
        assert_eq!(executed, "0\n", "{affinity}");
    }
    let own = json!({"execCPUAffinity": {"final": "1"}});
    assert_eq!(executed(&host, Spec::docker(), own, script), "1\n");
}

#[test]
fn memory_comes_from_the_nodes_of_the_policy() {
    if !fs::exists("/proc/self/numa_maps").is_ok_and(|is_there| is_there) {
        println!("skipped: needs a kernel with NUMA");
        return;
    }
    let Some(host) = host() else { return };
    let script = "head -n 1 /proc/self/numa_maps | cut -d' ' -f2";
    for (policy, seen) in [
        (
            json!({"mode": "MPOL_INTERLEAVE", "nodes": "0"}),
            "interleave:0\n",
        ),
        (
            json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]}),
            "bind=static:0\n",
        ),
    ] {
        let spec = Spec::docker().set("/linux/memoryPolicy", policy);
        assert_eq!(in_both(&host, &spec, script), [seen, seen]);
    }
}

#[test]
fn a_process_takes_the_machine_for_what_its_personality_says() {
    let Some(host) = host() else { return };
    let machine = |domain: &str| {
        let spec = Spec::docker().set("/linux/personality", json!({"domain": domain}));
        in_both(&host, &spec, "uname -m")
    };
    let [plain, executed] = machine("LINUX");
    assert_eq!(plain.trim(), std::env::consts::ARCH);
    assert_eq!(executed, plain);
    let [narrow, executed] = machine("LINUX32");
    assert_ne!(narrow, plain);
    assert_eq!(executed, narrow);
}

#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn listen(host: &SimulatedHost, path: &str) -> UnixListener {
    host.inside(|| UnixListener::bind(path)).unwrap().unwrap()
}

/// A message, and the number of the one descriptor that comes with it.
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn receive(connection: &UnixStream) -> (String, RawFd) {
    let mut bytes = [0; 4096];
    let mut space = nix::cmsg_space!([RawFd; 4]);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let fd = connection.as_raw_fd();
    let message = recvmsg::<()>(fd, &mut slices, Some(&mut space), MsgFlags::empty()).unwrap();
    let fds: Vec<_> = message
        .cmsgs()
        .unwrap()
        .flat_map(|message| match message {
            ControlMessageOwned::ScmRights(fds) => fds,
            _ => Vec::new(),
        })
        .collect();
    let len = message.bytes;
    assert_eq!(fds.len(), 1);
    (String::from_utf8_lossy(&bytes[..len]).into_owned(), fds[0])
}

#[test]
fn a_terminal_has_the_size_of_the_spec_before_the_program_looks() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let socket = "/run/console.sock";
    let listener = listen(&host, socket);
    let size = json!({"height": 11, "width": 112});
    let spec = Spec::docker()
        .set("/process/terminal", json!(true))
        .set("/process/consoleSize", size)
        .sh("stty size > /out/size; sleep 1000");
    let bundle = Bundle::new(&host, ID, spec);
    let path = bundle.path().display().to_string();
    runtime
        .call(&["create", "--console-socket", socket, "--bundle", &path, ID])
        .ok();
    let (connection, _) = listener.accept().unwrap();
    let (_, terminal) = receive(&connection);
    runtime.start(ID).ok();
    let size = |file: &str| bundle.read(file).unwrap_or_default();
    eventually("the program has looked", || {
        size("/out/size").ends_with('\n')
    });
    assert_eq!(size("/out/size"), "11 112\n");

    let process = json!({
        "user": {"uid": 0, "gid": 0}, "cwd": "/", "env": ["PATH=/bin"], "terminal": true,
        "consoleSize": {"height": 7, "width": 77}, "args": ["sh", "-c", "stty size > /out/other"],
    });
    let file = "/run/process.json";
    let text = process.to_string();
    host.inside(|| fs::write(file, text)).unwrap().unwrap();
    let words = [
        "exec",
        "--detach",
        "--console-socket",
        socket,
        "--process",
        file,
        ID,
    ];
    runtime.call(&words).ok();
    let (connection, _) = listener.accept().unwrap();
    let (_, other) = receive(&connection);
    eventually("the other has looked", || {
        size("/out/other").ends_with('\n')
    });
    assert_eq!(size("/out/other"), "7 77\n");
    for fd in [terminal, other] {
        nix::unistd::close(fd).unwrap();
    }
}

/// The process that a pidfd is of, by its numbers in all PID namespaces.
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn pids_of(pidfd: RawFd) -> Vec<i64> {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{pidfd}")).unwrap();
    let pids = info.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let pids = pids.unwrap_or_default().split_whitespace();
    pids.map(|pid| pid.parse().unwrap()).collect()
}

#[test]
fn an_engine_gets_a_descriptor_of_the_process_that_it_asks_for() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let socket = "/run/pidfd.sock";
    let listener = listen(&host, socket);
    let bundle = Bundle::new(&host, ID, Spec::docker().sh("sleep 1000"));
    let path = bundle.path().display().to_string();
    let words = ["create", "--pidfd-socket", socket, "--bundle", &path, ID];
    runtime.call(&words).ok();
    let (connection, _) = listener.accept().unwrap();
    let (kind, init) = receive(&connection);
    assert_eq!(kind, "standard");
    let pid = runtime.state(ID)["pid"].as_i64().unwrap();
    assert!(
        pids_of(init).contains(&pid),
        "{:?}, not {pid}",
        pids_of(init)
    );
    runtime.start(ID).ok();

    let pid_file = "/run/exec.pid";
    let words = [
        "exec",
        "--detach",
        "--pidfd-socket",
        socket,
        "--pid-file",
        pid_file,
        ID,
        "sleep",
        "1000",
    ];
    runtime.call(&words).ok();
    let (connection, _) = listener.accept().unwrap();
    let (kind, executed) = receive(&connection);
    assert_eq!(kind, "setns");
    let pid = host
        .inside(|| fs::read_to_string(pid_file))
        .unwrap()
        .unwrap();
    let pid: i64 = pid.parse().unwrap();
    assert!(pids_of(executed).contains(&pid));
    for fd in [init, executed] {
        nix::unistd::close(fd).unwrap();
    }
}

/// A docker-like spec whose program has a deadline. By sched_setattr(2) one is for all CPUs of the
/// machine; `None` where that is one CPU.
fn with_a_deadline() -> Option<Spec> {
    if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() == 1) {
        println!("skipped: the machine has one CPU");
        return None;
    }
    let scheduler = json!({
        "policy": "SCHED_DEADLINE", "runtime": 42_000, "deadline": 1_000_000, "period": 1_000_000,
    });
    Some(Spec::docker().set("/process/scheduler", scheduler))
}

#[test]
fn a_deadline_goes_with_an_engine_that_is_bound_to_one_cpu() {
    let Some((host, spec)) = host().zip(with_a_deadline()) else {
        return;
    };
    if !require::programs(&["taskset"]) {
        return;
    }
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, ID, spec.args(&["sleep", "1000"]));
    let bound = |words: &[&str]| {
        let command = runtime.command(words);
        let mut taskset = Command::new("taskset");
        taskset
            .args(["--cpu-list", "0"])
            .arg(command.get_program())
            .args(command.get_args());
        Outcome::of(&host, &mut taskset).unwrap()
    };
    let dir = bundle.path().to_string_lossy();
    bound(&["run", "--detach", "--bundle", &dir, ID]).ok();
    bound(&["exec", ID, "true"]).ok();
}

#[test]
fn a_deadline_does_not_go_with_a_cpuset() {
    let Some((host, spec)) = host().zip(with_a_deadline()) else {
        return;
    };
    let spec = spec.set("/linux/resources/cpu", json!({"cpus": "0"}));
    let runtime = Runtime::under_test(&host);
    let message = runtime.run(&Bundle::new(&host, ID, spec)).fails(1);
    assert!(message.contains("together with AllowedCPUs"), "{message}");
}

#[test]
fn a_program_can_be_left_with_its_standard_streams_alone() {
    let Some(host) = host() else { return };
    let limit = json!([{"type": "RLIMIT_NOFILE", "soft": 3, "hard": 3}]);
    let spec = Spec::docker().set("/process/rlimits", limit);
    assert_eq!(in_both(&host, &spec, "ulimit -n"), ["3\n", "3\n"]);
}
