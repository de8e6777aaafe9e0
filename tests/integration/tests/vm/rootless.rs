//! podman of a user who is not root, in a login session, with the cgroup manager that it has by
//! default: the user's own systemd.

use serial_test::serial;

use super::machine::{IMAGE, PROBE, RUNTIME, all_ok, in_vm, ok, run};

/// A command in a session of the user, who is in the groups of the GPUs' nodes.
const SESSION: [&str; 8] = [
    "systemd-run",
    "--quiet",
    "--pipe",
    "--wait",
    "--collect",
    "--uid=vagrant",
    "--property=PAMName=login",
    "podman",
];
const NAME: &str = "of-user";

/// What the probe says: the user may make no nodes.
const SEEN: &str = "kfd open\ngranted open\nother closed\nmade closed\n";

fn podman(words: &[&'static str]) -> Vec<&'static str> {
    [&SESSION, words].concat()
}

#[test]
#[serial]
fn podman_of_a_user_gives_the_gpu_by_variable_and_by_cdi_with_the_groups_of_the_user() {
    if !in_vm() {
        return;
    }
    let probe = [IMAGE, "sh", "-c", PROBE];
    let run = |options: &[&'static str]| {
        let ours = ["--runtime", RUNTIME, "run", "--rm", "--network=none"];
        podman(&[&ours, options, &probe].concat())
    };
    let variable = "--env=AMD_VISIBLE_DEVICES=0";
    let device = "--device=amd.com/gpu=0";
    let keep = "--group-add=keep-groups";
    let seen = all_ok(&[
        run(&[variable, keep]),
        run(&[device, keep]),
        run(&[variable, keep, "--cap-add=MKNOD"]),
        // The nodes are of a group that the user is in, and the container is not.
        run(&[variable]),
        run(&[keep]),
    ]);
    let closed = SEEN.replace("open", "closed");
    assert_eq!(seen, [SEEN, SEEN, SEEN, &closed, &closed]);
}

/// A container that runs until it is dropped.
struct Running;

impl Drop for Running {
    fn drop(&mut self) {
        run(&podman(&["rm", "-f", "-t=0", NAME]));
    }
}

#[test]
#[serial]
fn it_is_in_a_scope_of_the_users_systemd_which_goes_with_it() {
    if !in_vm() {
        return;
    }
    let ours = ["--runtime", RUNTIME, "run", "--detach", "--name", NAME];
    let options = [
        "--network=none",
        "--memory=64m",
        "--env=AMD_VISIBLE_DEVICES=0",
        "--group-add=keep-groups",
    ];
    ok(&podman(
        &[&ours[..], &options, &[IMAGE, "sleep", "1000000"]].concat(),
    ));
    let running = Running;
    let inspect = |what: &'static str| {
        let shown = ok(&podman(&["inspect", "--format", what, NAME]));
        shown.trim().to_owned()
    };
    let id = inspect("{{.Id}}");
    let pid = inspect("{{.State.Pid}}");
    let cgroup = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(cgroup.starts_with("0::/user.slice/user-"), "{cgroup}");
    assert!(cgroup.contains(&format!("libpod-{id}.scope")), "{cgroup}");
    let dir = format!("/sys/fs/cgroup{}", cgroup.trim().trim_start_matches("0::"));
    let limit = || std::fs::read_to_string(format!("{dir}/memory.max")).unwrap();
    assert_eq!(limit().trim(), (64 << 20).to_string());
    ok(&podman(&["update", "--memory=96m", NAME]));
    assert_eq!(limit().trim(), (96 << 20).to_string());
    let seen = || ok(&podman(&["exec", NAME, "sh", "-c", PROBE]));
    assert_eq!(seen(), SEEN);
    ok(&podman(&["pause", NAME]));
    ok(&podman(&["unpause", NAME]));
    assert_eq!(seen(), SEEN, "after pause");
    drop(running);
    assert!(!std::fs::exists(dir).unwrap());
}
