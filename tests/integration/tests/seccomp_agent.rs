//! A container whose seccomp profile leaves calls to an agent (`SCMP_ACT_NOTIFY`).

use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::require;
use integration::runtime::{Runtime, eventually};
use integration::spec::Spec;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, UnixAddr, recvmsg};
use serde_json::{Value, json};

const ID: &str = "c";

fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, Cgroups::V1)
}

/// Leaves mkdir to the agent; every call that [`NETWORK`] names has `action`.
fn profile(action: &str) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": "/run/agent.sock",
        "listenerMetadata": "some metadata",
        "syscalls": [
            {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"},
            {"names": NETWORK, "action": action},
        ],
    })
}

const NETWORK: [&str; 15] = [
    "accept",
    "accept4",
    "bind",
    "connect",
    "getpeername",
    "getsockopt",
    "listen",
    "recvfrom",
    "recvmmsg",
    "recvmsg",
    "sendmmsg",
    "sendmsg",
    "sendto",
    "setsockopt",
    "socket",
];

/// Tries to make a directory, and then waits.
const MKDIR: &str = "mkdir /out/made 2>/out/said; echo ran >/out/ran; sleep 1000";

/// A spec whose profile leaves mkdir to the agent.
fn with_agent() -> Spec {
    Spec::docker().set("/linux/seccomp", profile("SCMP_ACT_ALLOW"))
}

struct Agent(UnixListener);

/// What an agent is sent for a process.
struct Sent {
    /// The container process state (config-linux.md).
    told: Value,
    /// The descriptors of the filter.
    filter: Vec<OwnedFd>,
}

#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
impl Agent {
    fn at_work(host: &SimulatedHost) -> Self {
        let listener = host.inside(|| UnixListener::bind("/run/agent.sock"));
        let listener = listener.unwrap().unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    /// What it has been sent by now.
    fn received(&self) -> Option<Sent> {
        let (connection, _) = self.0.accept().ok()?;
        let mut bytes = vec![0; 64 * 1024];
        let mut space = nix::cmsg_space!([std::os::fd::RawFd; 4]);
        let mut parts = [std::io::IoSliceMut::new(&mut bytes)];
        let message = recvmsg::<UnixAddr>(
            connection.as_raw_fd(),
            &mut parts,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        )
        .unwrap();
        let len = message.bytes;
        let mut filter = Vec::new();
        for message in message.cmsgs().unwrap() {
            if let ControlMessageOwned::ScmRights(raw) = message {
                #[allow(unsafe_code)]
                // SAFETY: the kernel has just made them for this process.
                filter.extend(
                    raw.into_iter()
                        .map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }),
                );
            }
        }
        Some(Sent {
            told: serde_json::from_slice(&bytes[..len]).unwrap(),
            filter,
        })
    }
}

#[test]
fn a_container_whose_agent_is_not_there_is_not_created() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = with_agent().sh("touch /out/ran");
    let bundle = Bundle::new(&host, ID, spec);
    for outcome in [runtime.create(&bundle), runtime.run(&bundle)] {
        let message = outcome.fails(1);
        assert!(
            message.contains("failed to connect with seccomp agent \"/run/agent.sock\""),
            "{message}"
        );
        assert!(bundle.read("/out/ran").is_err());
        assert_eq!(runtime.call(&["list", "-q"]).ok(), "");
    }
}

#[test]
fn an_agent_has_the_filter_before_the_container_counts_as_created() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let agent = Agent::at_work(&host);
    for no_new_privileges in [false, true] {
        let spec = with_agent()
            .user(1000, 1000)
            .sh(MKDIR)
            .set("/process/noNewPrivileges", json!(no_new_privileges));
        let bundle = Bundle::new(&host, ID, spec);
        runtime.create(&bundle).ok();
        let Sent { told, filter } = agent.received().unwrap();
        let state = runtime.state(ID);
        assert_eq!(state["status"], "created");
        assert_eq!(
            (filter.len(), &told["fds"], &told["metadata"]),
            (1, &json!(["seccompFd"]), &json!("some metadata"))
        );
        assert_eq!(
            (&told["pid"], &told["state"]["pid"]),
            (&state["pid"], &state["pid"])
        );
        assert_eq!(
            (&told["state"]["id"], &told["state"]["status"]),
            (&json!(ID), &json!("creating"))
        );
        let path = format!("/proc/{}/status", state["pid"]);
        eventually("what the load took is gone", || {
            let status = host.inside(|| fs::read_to_string(&path)).unwrap().unwrap();
            assert!(status.contains("Seccomp:\t2"), "{status}");
            // Those of the spec, without CAP_SYS_ADMIN.
            status.contains("CapPrm:\t00000000a80425fb") && status.contains("Threads:\t1\n")
        });
        assert!(bundle.read("/out/ran").is_err());

        // Without an agent its calls do not exist.
        drop(filter);
        runtime.start(ID).ok();
        eventually("the program has run", || bundle.read("/out/ran").is_ok());
        let said = bundle.read("/out/said").unwrap();
        assert!(said.contains("Function not implemented"), "{said}");
        runtime.call(&["delete", "--force", ID]).ok();
    }
}

#[test]
fn an_agent_gets_the_filter_of_an_executed_process_too() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let agent = Agent::at_work(&host);
    for no_new_privileges in [false, true] {
        let spec = with_agent()
            .args(&["sleep", "1000"])
            .set("/process/noNewPrivileges", json!(no_new_privileges));
        runtime.up(&Bundle::new(&host, ID, spec));
        drop(agent.received().unwrap());
        let pid = runtime.state(ID)["pid"].clone();
        // Not waited for: its mkdir lasts until the agent has decided.
        let exec = ["exec", "--detach", ID, "mkdir", "/out/made"];
        runtime.call(&exec).ok();
        let Sent { told, filter } = agent.received().unwrap();
        assert_eq!(
            (filter.len(), &told["state"]["status"]),
            (1, &json!("running"))
        );
        assert!(told["pid"].as_i64() > Some(1) && told["pid"] != pid);
        runtime.call(&["delete", "--force", ID]).ok();
    }
}

#[test]
fn what_the_runtime_does_on_its_way_needs_neither_leave_nor_an_answer() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let agent = Agent::at_work(&host);
    // Of an agent for the network, as of rootless engines, or one that has yet to look.
    for action in ["SCMP_ACT_NOTIFY", "SCMP_ACT_ERRNO"] {
        let spec = Spec::docker()
            .user(1000, 1000)
            .sh("echo ran >/out/ran; sleep 1000")
            .set("/linux/seccomp", profile(action));
        let bundle = Bundle::new(&host, ID, spec);
        runtime.up(&bundle);
        let of_init = agent.received().unwrap();
        eventually("the program has run", || bundle.read("/out/ran").is_ok());
        let exec = ["exec", ID, "sh", "-c", "echo executed >/out/executed"];
        runtime.call(&exec).ok();
        assert!(bundle.read("/out/executed").is_ok());
        assert!(agent.received().is_some());
        drop(of_init);
        runtime.call(&["delete", "--force", ID]).ok();
    }
}

#[test]
fn a_created_container_with_an_agent_can_be_killed_and_does_not_start_then() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let agent = Agent::at_work(&host);
    let spec = with_agent().sh(MKDIR);
    let bundle = Bundle::new(&host, ID, spec);
    runtime.create(&bundle).ok();
    let of_init = agent.received().unwrap();
    runtime.kill(ID, "TERM").ok();
    runtime.wait_stopped(ID);
    let message = runtime.start(ID).fails(1);
    assert!(
        message.contains("cannot start a container that has stopped"),
        "{message}"
    );
    assert!(bundle.read("/out/ran").is_err());
    drop(of_init);
    runtime.delete(ID).ok();
}

#[test]
fn a_limit_of_one_task_is_enough_for_a_container_with_an_agent() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let agent = Agent::at_work(&host);
    let spec = with_agent()
        .sh("exec true")
        .set("/linux/resources/pids", json!({"limit": 1}));
    runtime.run(&Bundle::new(&host, ID, spec)).ok();
    assert!(agent.received().is_some());
}

#[test]
fn limits_that_have_no_room_for_another_thread_are_those_of_the_program() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let agent = Agent::at_work(&host);
    for (limit, value) in [("RLIMIT_DATA", 1 << 20), ("RLIMIT_NPROC", 1)] {
        let limits = json!([{"type": limit, "soft": value, "hard": value}]);
        let spec = with_agent()
            .user(61234, 61234)
            .args(&["true"])
            .set("/process/rlimits", limits.clone())
            .set("/process/noNewPrivileges", json!(true));
        runtime.run(&Bundle::new(&host, ID, spec)).ok();
        assert!(agent.received().is_some(), "{limit}");

        let spec = with_agent().args(&["sleep", "1000"]);
        let bundle = Bundle::new(&host, ID, spec);
        runtime.up(&bundle);
        drop(agent.received().unwrap());
        let process = json!({
            "args": ["true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 61234, "gid": 61234},
            "rlimits": limits, "noNewPrivileges": true,
        });
        let file = bundle.path().join("process.json");
        host.inside(|| fs::write(&file, process.to_string()))
            .unwrap()
            .unwrap();
        let file = file.to_string_lossy();
        runtime.call(&["exec", "--process", &file, ID]).ok();
        assert!(agent.received().is_some(), "{limit}");
        runtime.call(&["delete", "--force", ID]).ok();
    }
}

#[test]
fn an_agent_that_accepts_no_more_connections_is_an_error_and_not_waited_for() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let agent = Agent::at_work(&host);
    // Until nobody more can wait to be accepted.
    nix::sys::socket::listen(&agent.0, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
    let _waits = host
        .inside(|| UnixStream::connect("/run/agent.sock"))
        .unwrap();
    let spec = with_agent().args(&["true"]);
    let message = runtime.run(&Bundle::new(&host, ID, spec)).fails(1);
    for words in [
        "failed to connect with seccomp agent",
        "temporarily unavailable",
    ] {
        assert!(message.contains(words), "{message}");
    }
    assert_eq!(runtime.call(&["list", "-q"]).ok(), "");
}

#[test]
fn a_filter_that_cannot_be_loaded_is_an_error_of_create_and_said_once() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let _agent = Agent::at_work(&host);
    // No room for the descriptor of the agent.
    let limits = json!([{"type": "RLIMIT_NOFILE", "soft": 4, "hard": 4}]);
    let spec = with_agent().args(&["true"]).set("/process/rlimits", limits);
    let message = runtime.create(&Bundle::new(&host, ID, spec)).fails(1);
    assert_eq!(
        message.matches("unable to init seccomp").count(),
        1,
        "{message}"
    );
    assert_eq!(runtime.call(&["list", "-q"]).ok(), "");
}

#[test]
fn a_program_that_cannot_be_executed_is_the_same_error_with_an_agent() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let agent = Agent::at_work(&host);
    let spec = Spec::docker().args(&["sleep", "1000"]);
    for spec in [
        spec.clone(),
        spec.set("/linux/seccomp", profile("SCMP_ACT_ALLOW")),
    ] {
        let bundle = Bundle::new(&host, ID, spec);
        let path = bundle.in_rootfs("/bin/no-format");
        host.inside(|| {
            fs::write(&path, "no program")?;
            fs::set_permissions(&path, PermissionsExt::from_mode(0o755))
        })
        .unwrap()
        .unwrap();
        runtime.up(&bundle);
        // Often: what the process closes, and its threads, are a race.
        for _ in 0..20 {
            let message = runtime.call(&["exec", ID, "no-format"]).fails(255);
            assert!(message.contains("exec format error"), "{message}");
        }
        runtime.call(&["delete", "--force", ID]).ok();
    }
    assert!(agent.received().is_some());
}
