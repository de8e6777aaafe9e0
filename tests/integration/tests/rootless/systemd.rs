//! Rootless containers whose cgroups the user's own systemd makes, as podman has it by default on
//! hosts with cgroup v2.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use integration::host::SimulatedHost;
use integration::outcome::Outcome;
use integration::runtime::eventually;
use integration::spec::Spec;
use serde_json::json;

use crate::fixture::{
    HOME, UID, as_user, assert_gpus_0_and_1, at_home, bundle, host, look, with_user_namespace,
};

const SYSTEMD: &str = "/lib/systemd/systemd";

/// A systemd of the user, in a cgroup that is the user's.
struct UserManager<'h> {
    host: &'h SimulatedHost,
    cgroup: PathBuf,
    manager: Child,
}

impl<'h> UserManager<'h> {
    fn start(host: &'h SimulatedHost) -> Option<Self> {
        if !Path::new(SYSTEMD).exists() {
            eprintln!("skipped: needs {SYSTEMD}");
            return None;
        }
        let cgroup = Path::new("/sys/fs/cgroup").join(host.cgroup().trim_start_matches('/'));
        let cgroup = cgroup.join("of-user");
        host.inside(|| {
            // As on a host that is booted with systemd.
            fs::create_dir_all("/run/systemd/system").unwrap();
            fs::create_dir_all(cgroup.join("commands")).unwrap();
            // As systemd does above a user's manager; beside v1 there is no such controller.
            let above = cgroup.with_file_name("cgroup.subtree_control");
            let _ = fs::write(above, "+memory +pids");
            for file in ["", "cgroup.procs", "cgroup.subtree_control", "commands"] {
                chown(cgroup.join(file), Some(UID), Some(UID)).unwrap();
            }
            chown(cgroup.join("commands/cgroup.procs"), Some(UID), Some(UID)).unwrap();
        })
        .unwrap();
        let mut command = as_user_in(&cgroup, &[SYSTEMD, "--user", "--unit=basic.target"]);
        command.env("SYSTEMD_LOG_TARGET", "console");
        let manager = host.spawn(&mut command).unwrap();
        let started = Self {
            host,
            cgroup,
            manager,
        };
        let socket = format!("{HOME}/systemd/private");
        eventually("systemd listens", || {
            host.inside(|| Path::new(&socket).exists()).unwrap()
        });
        Some(started)
    }

    #[track_caller]
    fn call(&self, words: &[&str]) -> Outcome {
        let runtime = ["/run/amd-container-runtime-under-test", "--systemd-cgroup"];
        let words = [&runtime, words].concat();
        let mut command = as_user_in(&self.cgroup.join("commands"), &words);
        Outcome::of(self.host, &mut command).unwrap()
    }

    /// The directory of a container's cgroup.
    fn scope(&self, id: &str) -> PathBuf {
        self.cgroup.join(format!("user.slice/test-{id}.scope"))
    }
}

impl Drop for UserManager<'_> {
    fn drop(&mut self) {
        let _ = self.manager.kill();
        let _ = self.manager.wait();
    }
}

/// A command of the user in the groups of the GPUs, in a cgroup.
fn as_user_in(cgroup: &Path, words: &[&str]) -> Command {
    let script = r#"echo 0 >"$0/cgroup.procs" && exec "$@""#;
    let command_of_user = as_user(true, words);
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .arg(cgroup)
        .arg(command_of_user.get_program())
        .args(command_of_user.get_args());
    at_home(command)
}

fn spec() -> Spec {
    with_user_namespace(Spec::docker().env("AMD_VISIBLE_DEVICES=0,1"))
}

#[test]
fn a_container_is_in_a_scope_of_the_users_systemd_and_has_its_gpus() {
    let Some(host) = host() else { return };
    let Some(systemd) = UserManager::start(&host) else {
        return;
    };
    let spec = spec()
        .args(&["sleep", "1000"])
        .cgroups_path("user.slice:test:c");
    let bundle = bundle(&host, "c", spec);
    let path = bundle.path().to_str().unwrap();
    systemd
        .call(&["run", "--detach", "--bundle", path, "c"])
        .ok();
    let scope = systemd.scope("c");
    let procs = host
        .inside(|| fs::read_to_string(scope.join("cgroup.procs")))
        .unwrap()
        .unwrap();
    assert_eq!(procs.lines().count(), 1, "{procs}");
    assert_gpus_0_and_1(&systemd.call(&["exec", "c", "sh", "-c", &look("")]).ok());
    systemd.call(&["pause", "c"]).ok();
    systemd.call(&["resume", "c"]).ok();
    systemd.call(&["kill", "c", "KILL"]).ok();
    eventually("the container stops", || {
        systemd.call(&["state", "c"]).ok().contains("\"stopped\"")
    });
    systemd.call(&["delete", "c"]).ok();
    assert!(!host.inside(|| scope.exists()).unwrap());
}

#[test]
fn without_a_systemd_of_the_user_the_error_says_what_to_do() {
    let Some(host) = host() else { return };
    host.inside(|| fs::create_dir_all("/run/systemd/system"))
        .unwrap()
        .unwrap();
    let spec = spec().args(&["true"]).cgroups_path("user.slice:test:c");
    let bundle = bundle(&host, "c", spec);
    let words = ["--systemd-cgroup", "run", "--bundle"];
    let words = [&words[..], &[bundle.path().to_str().unwrap(), "c"]].concat();
    let message = crate::fixture::call(&host, &words).fails(1);
    assert!(
        message.contains("cannot reach systemd at \"/run/user-under-test/systemd/private\""),
        "{message}"
    );
    assert!(message.contains("hint: "), "{message}");
}

#[test]
fn limits_are_those_of_the_scope() {
    let Some(host) = host() else { return };
    let Some(systemd) = UserManager::start(&host) else {
        return;
    };
    let scope = systemd.scope("c");
    let delegated = systemd.cgroup.join("cgroup.controllers");
    let controllers = host.inside(|| fs::read_to_string(delegated));
    if !controllers.unwrap().unwrap().contains("pids") {
        eprintln!("skipped: needs the controller pids on cgroup v2");
        return;
    }
    let spec = spec()
        .args(&["sleep", "1000"])
        .cgroups_path("user.slice:test:c")
        .set("/linux/resources/pids", json!({"limit": 77}));
    let bundle = bundle(&host, "c", spec);
    let path = bundle.path().to_str().unwrap();
    systemd
        .call(&["run", "--detach", "--bundle", path, "c"])
        .ok();
    let max = host.inside(|| fs::read_to_string(scope.join("pids.max")));
    assert_eq!(max.unwrap().unwrap().trim(), "77");
    systemd.call(&["delete", "--force", "c"]).ok();
}

#[test]
fn annotations_are_properties_of_the_scope_and_a_slice_is_refused() {
    let Some(host) = host() else { return };
    let Some(systemd) = UserManager::start(&host) else {
        return;
    };
    let annotated = |path: &str, timeout: &str| {
        let annotations = json!({"org.systemd.property.TimeoutStopSec": timeout});
        let spec = spec().args(&["sleep", "1000"]).cgroups_path(path);
        bundle(&host, "c", spec.set("/annotations", annotations))
    };
    let run = |bundle: &Path| {
        let bundle = bundle.to_str().unwrap();
        systemd.call(&["run", "--detach", "--bundle", bundle, "c"])
    };
    run(annotated("user.slice:test:c", "7").path()).ok();
    let show = [
        "systemctl",
        "--user",
        "show",
        "test-c.scope",
        "-p",
        "TimeoutStopUSec",
    ];
    let mut show = as_user_in(&systemd.cgroup.join("commands"), &show);
    let shown = Outcome::of(&host, &mut show).unwrap().ok();
    assert_eq!(shown.trim(), "TimeoutStopUSec=7s");
    systemd.call(&["delete", "--force", "c"]).ok();

    for (path, timeout, message) in [
        ("user.slice:test:c", "soon", "\"soon\" is no value"),
        ("user.slice:test:c.slice", "7", "names a slice"),
    ] {
        let said = run(annotated(path, timeout).path()).fails(1);
        assert!(said.contains(message) && said.contains("hint: "), "{said}");
        let scope = systemd.scope("c");
        assert!(!host.inside(|| scope.exists()).unwrap(), "{path}");
    }
}
