//! podman of a user who is not root: the runtime is called in podman's user namespace, without
//! cgroups.

use std::fs;
use std::process::Command;

use integration::bundle::Bundle;
use integration::host::SimulatedHost;
use integration::outcome::Outcome;
use integration::require;
use integration::spec::Spec;

use crate::fixture::{HOME, UID, as_user, assert_gpus_0_and_1, bundle, host, look};

/// A host on which the user has ids to give to containers.
fn host_with_podman() -> Option<(SimulatedHost, String)> {
    if !require::programs(&["podman", "conmon", "newuidmap"]) {
        return None;
    }
    let host = host()?;
    host.inside(|| {
        let append = |path: &str, line: String| {
            let text = fs::read_to_string(path).unwrap_or_default();
            fs::write(path, format!("{text}{line}\n")).unwrap();
        };
        append(
            "/etc/passwd",
            format!("user-under-test:x:{UID}:{UID}::{HOME}:/bin/sh"),
        );
        append("/etc/group", format!("user-under-test:x:{UID}:"));
        for file in ["/etc/subuid", "/etc/subgid"] {
            append(file, "user-under-test:5000000:65536".into());
        }
    })
    .unwrap();
    let rootfs = rootfs(&bundle(&host, "podman", Spec::docker()));
    Some((host, rootfs))
}

fn rootfs(bundle: &Bundle<'_>) -> String {
    bundle
        .in_rootfs("/")
        .to_str()
        .unwrap()
        .trim_end_matches('/')
        .to_owned()
}

/// Runs podman with these words.
fn podman(host: &SimulatedHost, words: &[&str]) -> Outcome {
    let common = [
        "podman",
        "--cgroup-manager=cgroupfs",
        "--events-backend=none",
        "--storage-driver=vfs",
        "--runtime",
        "/run/amd-container-runtime-under-test",
    ];
    Outcome::of(host, &mut as_user(true, &[&common, words].concat())).unwrap()
}

/// Runs a script in a container with these options.
fn run(host: &SimulatedHost, rootfs: &str, options: &[&str], script: &str) -> Outcome {
    let words = [
        &["run", "--rm", "--network=none"],
        options,
        &["--rootfs", rootfs, "sh", "-c", script],
    ]
    .concat();
    podman(host, &words)
}

#[test]
fn a_container_has_its_gpus_with_the_groups_of_the_user() {
    let Some((host, rootfs)) = host_with_podman() else {
        return;
    };
    let options = [
        "--env",
        "AMD_VISIBLE_DEVICES=0,1",
        "--group-add",
        "keep-groups",
    ];
    let output = run(&host, &rootfs, &options, &look("exit 4"));
    assert_eq!(output.code, 4, "{output}");
    assert_gpus_0_and_1(&output.stdout);
}

#[test]
fn without_the_groups_of_the_user_the_nodes_are_there_and_do_not_open() {
    let Some((host, rootfs)) = host_with_podman() else {
        return;
    };
    let options = ["--env", "AMD_VISIBLE_DEVICES=0,1"];
    let seen = integration::probe::parse(&run(&host, &rootfs, &options, &look("")).ok());
    assert_eq!(seen.len(), 5);
    assert!(seen.iter().all(|node| !node.allowed()), "{seen:#?}");
}

#[test]
fn a_cdi_device_is_a_gpu() {
    let Some((host, rootfs)) = host_with_podman() else {
        return;
    };
    let ctk = integration::binary::ours("amd-ctk", "amd-ctk").unwrap();
    let mut generate = Command::new(ctk);
    generate.args(["cdi", "generate", "--cdi-version", "0.5.0"]);
    Outcome::of(&host, &mut generate).unwrap().ok();
    let options = [
        &["--device", "amd.com/gpu=0", "--device", "amd.com/gpu=1"][..],
        &["--group-add", "keep-groups"],
    ]
    .concat();
    assert_gpus_0_and_1(&run(&host, &rootfs, &options, &look("")).ok());
}

#[test]
fn another_gpus_node_cannot_be_made_even_privileged() {
    let Some((host, rootfs)) = host_with_podman() else {
        return;
    };
    let script = "mknod /tmp/forged c 226 129";
    for options in [&["--cap-add=MKNOD"][..], &["--privileged"]] {
        let refused = run(&host, &rootfs, options, script).fails(1);
        assert!(refused.contains("Operation not permitted"), "{refused}");
    }
}

#[test]
fn a_container_runs_in_the_background_and_is_stopped_and_removed() {
    let Some((host, rootfs)) = host_with_podman() else {
        return;
    };
    let call = |words: &[&str]| podman(&host, words);
    let detached = ["run", "-d", "--name", "c", "--network=none", "--init=false"];
    let sleep = ["--rootfs", &rootfs, "sleep", "1000"];
    call(&[&detached[..], &sleep].concat()).ok();
    assert_eq!(call(&["exec", "c", "id", "-u"]).ok().trim(), "0");
    let code = call(&["exec", "c", "sh", "-c", "exit 7"]);
    assert_eq!(code.code, 7, "{code}");
    call(&["stop", "--time", "1", "c"]).ok();
    let ps = call(&["ps", "--all", "--format", "{{.Status}}"]).ok();
    assert!(ps.starts_with("Exited (137)"), "{ps}");
    call(&["rm", "c"]).ok();
}
