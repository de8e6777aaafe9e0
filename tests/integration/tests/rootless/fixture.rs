//! Users of a simulated host who are not root, and their containers.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use integration::binary;
use integration::bundle::Bundle;
use integration::host::SimulatedHost;
use integration::mi300x::{listing, nodes};
use integration::outcome::Outcome;
use integration::probe::{self, SHELL, Seen};
use integration::require;
use integration::spec::Spec;
use serde_json::json;

/// A user whom nobody else is.
pub const UID: u32 = 4242;

/// The groups of card and render nodes on simulated hosts.
pub const GPU_GROUPS: &str = "44,109";

/// The home of the user, and the runtime directory.
pub const HOME: &str = "/run/user-under-test";

/// A host of eight GPUs with a user who is not root, where the machine can have one.
pub fn host() -> Option<SimulatedHost> {
    if !require::programs(&["setpriv", "unshare"]) {
        return None;
    }
    let host = require::host_with(integration::mi300x::PRESET, crate::CGROUPS)?;
    let ours = binary::runtime_under_test().unwrap();
    host.inside(|| {
        fs::create_dir(HOME).unwrap();
        chown(HOME, Some(UID), Some(UID)).unwrap();
        // Where the build is, this user need not be able to go.
        fs::copy(ours, runtime()).unwrap();
        fs::set_permissions(runtime(), fs::Permissions::from_mode(0o755)).unwrap();
    })
    .unwrap();
    Some(host)
}

/// The runtime, where every user can execute it.
pub fn runtime() -> PathBuf {
    "/run/amd-container-runtime-under-test".into()
}

/// A command of the user, who is in the groups of the GPUs or not.
pub fn as_user(in_groups: bool, words: &[&str]) -> Command {
    let groups = match in_groups {
        true => ["--groups", GPU_GROUPS].to_vec(),
        false => ["--clear-groups"].to_vec(),
    };
    let (uid, gid) = (format!("--reuid={UID}"), format!("--regid={UID}"));
    let mut command = Command::new("setpriv");
    command
        .args([uid.as_str(), gid.as_str()])
        .args(groups)
        .args(words);
    at_home(command)
}

/// The command with the environment and the directory of the user.
pub fn at_home(mut command: Command) -> Command {
    command
        .env("XDG_RUNTIME_DIR", HOME)
        .env("HOME", HOME)
        .env("USER", "user-under-test")
        .current_dir(HOME);
    command
}

/// The words of a command of the runtime.
pub fn runtime_words<'w>(words: &[&'w str]) -> Vec<&'w str> {
    [&["/run/amd-container-runtime-under-test"], words].concat()
}

/// A command of the runtime by the user.
#[track_caller]
pub fn call(host: &SimulatedHost, words: &[&str]) -> Outcome {
    Outcome::of(host, &mut as_user(true, &runtime_words(words))).unwrap()
}

/// The same by root of a user namespace of the user's own.
#[track_caller]
pub fn call_in_namespace(host: &SimulatedHost, words: &[&str]) -> Outcome {
    let words = [&["unshare", "-Urm"][..], &runtime_words(words)].concat();
    Outcome::of(host, &mut as_user(true, &words)).unwrap()
}

/// A bundle that belongs to the user, without a cgroup of its own.
#[track_caller]
pub fn bundle<'h>(host: &'h SimulatedHost, id: &str, spec: Spec) -> Bundle<'h> {
    let spec = match spec.json()["linux"].get("cgroupsPath") {
        None => spec.cgroups_path(""),
        Some(_) => spec,
    };
    let bundle = Bundle::new(host, id, spec);
    give(host, bundle.path());
    bundle
}

/// Gives a tree to the user.
#[track_caller]
pub fn give(host: &SimulatedHost, path: &Path) {
    let owner = format!("{UID}:{UID}");
    let mut chown = Command::new("chown");
    chown.args(["-hR", &owner]).arg(path);
    Outcome::of(host, &mut chown).unwrap().ok();
}

/// What a spec of runc's `spec --rootless` has: a user namespace in which the user is root, and no
/// group of its own for terminals.
pub fn with_user_namespace(spec: Spec) -> Spec {
    let mapping = json!([{"containerID": 0, "hostID": UID, "size": 1}]);
    without_terminal_group(spec)
        .push("/linux/namespaces", json!({"type": "user"}))
        .set("/linux/uidMappings", mapping.clone())
        .set("/linux/gidMappings", mapping)
}

/// For a user namespace of one group, and without the cgroups, of which the container has none.
pub fn without_terminal_group(spec: Spec) -> Spec {
    let spec = spec.without_mount("/sys/fs/cgroup");
    let mut mounts = spec.json()["mounts"].clone();
    for mount in mounts.as_array_mut().into_iter().flatten() {
        if let Some(options) = mount["options"].as_array_mut() {
            options.retain(|option| option != "gid=5");
        }
    }
    spec.set("/mounts", mounts)
}

/// A script that looks at all GPUs.
pub fn look(more: &str) -> String {
    format!("{SHELL}gpus; {more}")
}

/// Checks that the nodes of GPUs 0 and 1 are there, can be opened, and are the only ones.
#[track_caller]
pub fn assert_gpus_0_and_1(output: &str) {
    let seen = probe::parse(output);
    let numbers = |lines: Vec<String>| -> Vec<String> {
        let first_two = |line: String| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        lines.into_iter().map(first_two).collect()
    };
    // To the user namespace, root of the host is nobody.
    assert_eq!(numbers(listing(&seen)), numbers(nodes(&[0, 1])), "{output}");
    assert!(seen.iter().all(Seen::allowed), "{seen:#?}");
}
