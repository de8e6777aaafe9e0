//! The virtual machine: commands in it, docker's settings, and what a container can open.

use std::fs;
use std::process::{Command, Output};
use std::thread;

use serde_json::Value;

pub const RUNTIME: &str = "/usr/bin/amd-container-runtime";
pub const IMAGE: &str = "docker.io/library/busybox:latest";
const DAEMON_JSON: &str = "/etc/docker/daemon.json";

/// Opens what is granted, and asks the render node for its driver (DRM_IOCTL_VERSION) by way of the
/// host's python. Then what is not, by nodes that it makes itself.
pub const PROBE: &str = r#"
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

pub const GRANTED: &str = "kfd open\ngranted open\nother closed\nmade closed\n";

/// Whether this is the machine. Says so where it is not.
pub fn in_vm() -> bool {
    let is = std::env::var_os("AMD_VM_TESTS").is_some();
    if !is {
        println!("skipped: not in the VM (make vm-test)");
    }
    is
}

#[track_caller]
pub fn run(words: &[&str]) -> Output {
    let output = Command::new(words[0]).args(&words[1..]).output();
    output.unwrap_or_else(|err| panic!("{words:?}: {err}"))
}

/// What a command prints; it must succeed.
#[track_caller]
pub fn ok(words: &[&str]) -> String {
    printed_by(words, run(words))
}

#[track_caller]
fn printed_by(words: &[&str], output: Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What commands print that run side by side, in their order; all must succeed. Most of what an
/// engine does for a container it does with one processor, and the machine has more.
#[track_caller]
pub fn all_ok(commands: &[Vec<&str>]) -> Vec<String> {
    let outputs: Vec<Output> = thread::scope(|scope| {
        let spawn = |words| scope.spawn(move || run(words));
        let running: Vec<_> = commands.iter().map(|words| spawn(words)).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let printed = commands.iter().zip(outputs);
    printed
        .map(|(words, output)| printed_by(words, output))
        .collect()
}

/// Runs docker with other settings, and with ours again when it is dropped.
pub struct Daemon(String);

impl Daemon {
    /// With these settings besides.
    #[track_caller]
    pub fn with(settings: &Value) -> Self {
        let changed = Self(fs::read_to_string(DAEMON_JSON).unwrap());
        let mut all: Value = serde_json::from_str(&changed.0).unwrap();
        for (name, value) in settings.as_object().unwrap() {
            all[name] = value.clone();
        }
        fs::write(DAEMON_JSON, all.to_string()).unwrap();
        restart_docker();
        changed
    }

    /// With the settings that a command makes.
    #[track_caller]
    pub fn configured_by(command: &[&str]) -> Self {
        let changed = Self(fs::read_to_string(DAEMON_JSON).unwrap());
        ok(command);
        restart_docker();
        changed
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        fs::write(DAEMON_JSON, &self.0).unwrap();
        restart_docker();
    }
}

pub fn restart_docker() {
    // The limit of starts is for services that fail.
    run(&["systemctl", "reset-failed", "docker.service"]);
    ok(&["systemctl", "restart", "docker.service"]);
}

/// A container that runs until it is dropped.
pub struct Running(pub &'static str);

impl Running {
    pub fn start(name: &'static str, options: &[&str]) -> Self {
        run(&["docker", "rm", "-f", name]);
        let run = ["docker", "run", "-d", "--name", name, "-v/:/host:ro"];
        ok(&[&run, options, &[IMAGE, "sleep", "1000000"]].concat());
        Self(name)
    }

    /// What the probe says in it.
    #[track_caller]
    pub fn seen(&self) -> String {
        ok(&["docker", "exec", self.0, "sh", "-c", PROBE])
    }

    #[track_caller]
    pub fn has_its_gpu_alone(&self, when: &str) {
        assert_eq!(self.seen(), format!("{GRANTED}ioctl answers\n"), "{when}");
    }

    /// The directory of its cgroup.
    #[track_caller]
    pub fn cgroup(&self) -> String {
        let pid = ok(&["docker", "inspect", "-f", "{{.State.Pid}}", self.0]);
        let of = fs::read_to_string(format!("/proc/{}/cgroup", pid.trim())).unwrap();
        format!("/sys/fs/cgroup{}", of.trim().trim_start_matches("0::"))
    }

    /// The scope of systemd that it is in.
    pub fn unit(&self) -> String {
        let id = ok(&["docker", "inspect", "-f", "{{.Id}}", self.0]);
        format!("docker-{}.scope", id.trim())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        run(&["docker", "rm", "-f", self.0]);
    }
}

pub const ENV: [&str; 2] = ["--runtime=amd", "-eAMD_VISIBLE_DEVICES=0"];
pub const CDI: [&str; 2] = ["--runtime=runc", "--device=amd.com/gpu=0"];
pub const BOTH: [&str; 2] = ["--runtime=amd", "--device=amd.com/gpu=0"];
