//! In a virtual machine as users have it: booted with systemd, pure cgroup v2, the engines of a
//! current release as its own services, a real /dev/kfd and real render nodes. `make vm-test` runs
//! it there; elsewhere each test says that it was skipped.
//!
//! The nodes open and answer, and so what may not be opened is told apart from what is not there.
//! Three GPUs: containers get the first, and must get no other.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stand on it")]

use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serial_test::serial;

const RUNTIME: &str = "/usr/bin/amd-container-runtime";
const IMAGE: &str = "docker.io/library/busybox:latest";
const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// Opens what is granted, and asks the render node for its driver (DRM_IOCTL_VERSION) by way of the
/// host's python. Then what is not, by nodes that it makes itself.
const PROBE: &str = r#"
try() { if ( : 3<$2 ) 2>/dev/null; then echo "$1 open"; else echo "$1 closed"; fi; }
try kfd /dev/kfd
try granted /dev/dri/renderD128
mkdir -p /tmp
mknod /tmp/made c 226 129 2>/dev/null
try other /dev/dri/renderD129
try made /tmp/made
[ ! -d /host/usr ] || chroot /host python3 -c 'import fcntl, os
answer = bytearray(64)
fcntl.ioctl(3, 0xC0406400, answer)
print("ioctl answers")' 3</dev/dri/renderD128
"#;

const GRANTED: &str = "kfd open\ngranted open\nother closed\nmade closed\n";

/// Whether this is the machine. Says so where it is not.
fn in_vm() -> bool {
    let is = std::env::var_os("AMD_VM_TESTS").is_some();
    if !is {
        println!("skipped: not in the VM (make vm-test)");
    }
    is
}

#[track_caller]
fn run(words: &[&str]) -> Output {
    let output = Command::new(words[0]).args(&words[1..]).output();
    output.unwrap_or_else(|err| panic!("{words:?}: {err}"))
}

/// What a command prints; it must succeed.
#[track_caller]
fn ok(words: &[&str]) -> String {
    let output = run(words);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs docker with other settings, and with ours again when it is dropped.
struct Daemon(Option<String>);

impl Daemon {
    fn with(settings: &str) -> Self {
        let before = fs::read_to_string(DAEMON_JSON).ok();
        fs::write(DAEMON_JSON, settings).unwrap();
        restart_docker();
        Self(before)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        match &self.0 {
            Some(before) => fs::write(DAEMON_JSON, before).unwrap(),
            None => fs::remove_file(DAEMON_JSON).unwrap(),
        }
        restart_docker();
    }
}

fn restart_docker() {
    // The limit of starts is for services that fail.
    run(&["systemctl", "reset-failed", "docker.service"]);
    ok(&["systemctl", "restart", "docker.service"]);
}

/// A container that runs until it is dropped.
struct Running(&'static str);

impl Running {
    fn start(name: &'static str, options: &[&str]) -> Self {
        run(&["docker", "rm", "-f", name]);
        let run = ["docker", "run", "-d", "--name", name, "-v/:/host:ro"];
        ok(&[&run, options, &[IMAGE, "sleep", "1000000"]].concat());
        Self(name)
    }

    #[track_caller]
    fn has_its_gpu_alone(&self, when: &str) {
        let seen = ok(&["docker", "exec", self.0, "sh", "-c", PROBE]);
        assert_eq!(seen, format!("{GRANTED}ioctl answers\n"), "{when}");
    }

    /// The scope of systemd that it is in.
    fn unit(&self) -> String {
        let id = ok(&["docker", "inspect", "-f", "{{.Id}}", self.0]);
        format!("docker-{}.scope", id.trim())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        run(&["docker", "rm", "-f", self.0]);
    }
}

const ENV: [&str; 2] = ["--runtime=amd", "-eAMD_VISIBLE_DEVICES=0"];
const CDI: [&str; 1] = ["--device=amd.com/gpu=0"];
const BOTH: [&str; 2] = ["--runtime=amd", "--device=amd.com/gpu=0"];

#[test]
#[serial]
fn the_probe_sees_what_is_open() {
    if !in_vm() {
        return;
    }
    let words = [
        "docker",
        "run",
        "--rm",
        "--privileged",
        IMAGE,
        "sh",
        "-c",
        PROBE,
    ];
    let all = GRANTED.replace("closed", "open");
    assert_eq!(ok(&words), all);
}

#[test]
#[serial]
fn docker_gives_the_gpu_that_was_asked_for_and_no_other_by_variable_and_by_cdi() {
    if !in_vm() {
        return;
    }
    for way in [&ENV[..], &CDI, &BOTH] {
        for user in ["--user=0", "--user=1000"] {
            let run = ["docker", "run", "--rm", user];
            let seen = ok(&[&run, way, &[IMAGE, "sh", "-c", PROBE]].concat());
            assert_eq!(seen, GRANTED, "{way:?} {user}");
        }
    }
}

const LIVE: &str = r#"{"runtimes": {"amd": {"path": "/usr/bin/amd-container-runtime"}},
    "live-restore": true"#;

/// Under the cgroup driver that docker has with these settings, changes what systemd and docker can change of a container that runs.
fn shake(driver: &str, settings: &str) {
    let _daemon = Daemon::with(&format!("{LIVE}{settings}}}"));
    assert!(ok(&["docker", "info"]).contains(&format!("Cgroup Driver: {driver}")));
    let container = Running::start("shaken", &ENV);
    container.has_its_gpu_alone("at first");
    ok(&["systemctl", "daemon-reload"]);
    container.has_its_gpu_alone("after daemon-reload");
    if driver == "systemd" {
        let unit = container.unit();
        ok(&[
            "systemctl",
            "set-property",
            "--runtime",
            &unit,
            "CPUWeight=50",
        ]);
        container.has_its_gpu_alone("after set-property");
    }
    let limits = [
        "--memory=256m",
        "--memory-swap=256m",
        "--cpus=0.5",
        "--pids-limit=90",
    ];
    ok(&[&["docker", "update"], &limits[..], &[container.0]].concat());
    container.has_its_gpu_alone("after update");
    ok(&["systemctl", "daemon-reload"]);
    container.has_its_gpu_alone("after update and daemon-reload");
    let memory = [
        "docker",
        "exec",
        container.0,
        "cat",
        "/sys/fs/cgroup/memory.max",
    ];
    assert_eq!(ok(&memory), format!("{}\n", 256 << 20));
    ok(&["docker", "pause", container.0]);
    ok(&["docker", "unpause", container.0]);
    container.has_its_gpu_alone("after pause");
    restart_docker();
    container.has_its_gpu_alone("after a restart of docker");
}

#[test]
#[serial]
fn under_the_systemd_driver_nothing_that_happens_changes_what_can_be_opened() {
    if in_vm() {
        shake("systemd", "");
    }
}

#[test]
#[serial]
fn under_the_cgroupfs_driver_nothing_that_happens_changes_what_can_be_opened() {
    if in_vm() {
        shake(
            "cgroupfs",
            r#", "exec-opts": ["native.cgroupdriver=cgroupfs"]"#,
        );
    }
}

#[test]
#[serial]
fn the_unit_is_what_runc_makes_of_it_and_goes_with_the_container() {
    if !in_vm() {
        return;
    }
    let properties = |unit: &str| {
        let mut all = String::new();
        for name in [
            "Slice",
            "Delegate",
            "DefaultDependencies",
            "DevicePolicy",
            "Description",
        ] {
            let shown = ok(&["systemctl", "show", unit, "-p", name]);
            let id = unit
                .trim_start_matches("docker-")
                .trim_end_matches(".scope");
            let _ = write!(all, "{}", shown.replace(id, "ID"));
        }
        all
    };
    let theirs = Running::start("of-runc", &["--runtime=runc"]);
    let ours = Running::start("of-ours", &ENV);
    let unit = ours.unit();
    assert_eq!(properties(&unit), properties(&theirs.unit()));
    let allowed = ok(&["systemctl", "show", &unit, "-p", "DeviceAllow"]);
    assert!(allowed.contains("/dev/char/226:128 rwm"), "{allowed}");
    assert!(!allowed.contains("/dev/char/226:129"), "{allowed}");

    drop(ours);
    let begin = Instant::now();
    let there = || ok(&["systemctl", "list-units", "--all", "--no-legend", &unit]);
    while !there().is_empty() && begin.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(200));
    }
    assert_eq!(there(), "");
    assert!(!fs::exists(format!("/sys/fs/cgroup/system.slice/{unit}")).unwrap());
}

#[test]
#[serial]
fn as_dockers_default_runtime_it_runs_every_container() {
    if !in_vm() {
        return;
    }
    let _daemon = Daemon::with(&format!(r#"{LIVE}, "default-runtime": "amd"}}"#));
    let run = |options: &[&str]| {
        ok(&[
            &["docker", "run", "--rm"],
            options,
            &[IMAGE, "sh", "-c", PROBE],
        ]
        .concat())
    };
    assert_eq!(run(&["-eAMD_VISIBLE_DEVICES=0"]), GRANTED);
    let none = GRANTED.replace("open", "closed");
    assert_eq!(run(&[]), none);
}

#[test]
#[serial]
fn a_gpu_that_is_not_there_is_an_error_that_names_those_that_are() {
    if !in_vm() {
        return;
    }
    let words = ["--runtime=amd", "-eAMD_VISIBLE_DEVICES=9", IMAGE, "true"];
    let output = run(&[&["docker", "run", "--rm"], &words[..]].concat());
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.contains("hint: GPUs here: 0-2"), "{error}");
    assert_eq!(output.status.code(), Some(125));
}

#[test]
#[serial]
fn containerd_runs_it_with_both_cgroup_drivers() {
    if !in_vm() {
        return;
    }
    let saved = "/tmp/busybox.tar";
    ok(&["docker", "save", "-o", saved, IMAGE]);
    ok(&["ctr", "images", "import", saved]);
    let systemd = ["--runc-systemd-cgroup", "--cgroup=system.slice:ctr:vm"];
    for driver in [&[][..], &systemd] {
        let words = ["ctr", "run", "--rm", "--runtime=io.containerd.runc.v2"];
        let ours = ["--runc-binary", RUNTIME, "--env", "AMD_VISIBLE_DEVICES=0"];
        let probe = [IMAGE, "vm", "sh", "-c", PROBE];
        let seen = ok(&[&words[..], &ours, driver, &probe].concat());
        assert_eq!(seen, GRANTED, "{driver:?}");
    }
}

#[test]
#[serial]
fn podman_runs_it_and_reads_the_cdi_spec() {
    if !in_vm() {
        return;
    }
    let saved = "/tmp/busybox.tar";
    ok(&["docker", "save", "-o", saved, IMAGE]);
    ok(&["podman", "load", "-q", "-i", saved]);
    let ours = ["--runtime", RUNTIME];
    for (runtime, way) in [
        (&ours[..], "--env=AMD_VISIBLE_DEVICES=0"),
        (&ours, "--device=amd.com/gpu=0"),
        (&[], "--device=amd.com/gpu=0"),
    ] {
        for manager in ["--cgroup-manager=systemd", "--cgroup-manager=cgroupfs"] {
            let run = ["run", "--rm", "--network=none", "--cap-add=MKNOD", way];
            let probe = [IMAGE, "sh", "-c", PROBE];
            let seen = ok(&[&["podman", manager], runtime, &run, &probe].concat());
            assert_eq!(seen, GRANTED, "{runtime:?} {way} {manager}");
        }
    }
}
