//! Tests against the running kernel: cgroups of both versions, real programs, real nodes.
//!
//! They need root, and skip with a line where that or the hierarchy is missing. Nodes have numbers
//! without a driver: opening one gives ENXIO where the cgroup allows it and EPERM where not.

mod v1_tests;
mod v2_tests;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs};

use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
use nix::unistd::Uid;

use super::v1::tests::rule;
use super::*;

const V1_ROOT: &str = "/sys/fs/cgroup/devices";
const GPU: &[&str] = &["deny a *:* rwm", "allow c 226:128 rwm", "deny c 10:229 rwm"];

fn rules(lines: &[&str]) -> Vec<DeviceRule> {
    lines.iter().map(|line| rule(line)).collect()
}

fn table(lines: &[&str]) -> DeviceTable {
    DeviceTable::of_container(&rules(lines)).unwrap()
}

/// The root of the v1 devices hierarchy, or a line that says why there is none.
fn v1_root() -> Option<PathBuf> {
    let root = PathBuf::from(V1_ROOT);
    let usable = Uid::effective().is_root() && root.join("devices.list").exists();
    if !usable {
        println!("skipped: needs root and the v1 devices controller at {V1_ROOT}");
    }
    usable.then_some(root)
}

/// The root of a cgroup2 file system, or a line that says why there is none.
fn v2_root() -> Option<PathBuf> {
    let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
        .map(PathBuf::from)
        .into_iter()
        .find(|root| {
            statfs(root).is_ok_and(|found| found.filesystem_type() == CGROUP2_SUPER_MAGIC)
        });
    if !Uid::effective().is_root() || root.is_none() {
        println!("skipped: needs root and a cgroup2 file system in /sys/fs/cgroup");
        return None;
    }
    root
}

/// A cgroup that is removed at the end of the test.
struct TestCgroup(PathBuf);

impl TestCgroup {
    fn below(parent: &Path) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = parent.join(format!("amd-runtime-test-{}-{count}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn open(&self) -> File {
        File::open(&self.0).unwrap()
    }
}

impl Drop for TestCgroup {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir(&self.0) {
            println!("{} stays: {error}", self.0.display());
        }
    }
}

/// A shell in a cgroup, with a directory to make nodes in.
struct Inside {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    dir: tempfile::TempDir,
}

impl Inside {
    fn of(cgroup: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new("sh")
            .args([
                "-c",
                r#"while read -r command; do (eval "$command") 2>&1; echo "end $?"; done"#,
            ])
            .env("LC_ALL", "C")
            .current_dir(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        fs::write(cgroup.join("cgroup.procs"), child.id().to_string()).unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            stdin,
            stdout,
            dir,
        }
    }

    fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Runs a line of shell: what it wrote, and its exit status.
    fn run(&mut self, command: &str) -> (String, bool) {
        writeln!(self.stdin.as_mut().unwrap(), "{command}").unwrap();
        let mut output = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(
                self.stdout.read_line(&mut line).unwrap(),
                0,
                "the shell ended"
            );
            if let Some(status) = line.strip_prefix("end ") {
                return (output, status.trim() == "0");
            }
            output += &line;
        }
    }

    /// What the kernel answers to a command that makes or opens a node.
    fn answer(&mut self, command: &str) -> &'static str {
        match self.run(command) {
            (_, true) => "done",
            (output, _) if output.contains("Operation not permitted") => "EPERM",
            (output, _) if output.contains("No such device or address") => "ENXIO",
            (output, _) => panic!("{command}: {output}"),
        }
    }

    /// Makes a node from outside of the cgroup.
    fn node(&self, name: &str, major: &str, minor: &str) {
        let path = self.dir.path().join(name);
        let made = Command::new("mknod")
            .arg(path)
            .args(["c", major, minor])
            .status()
            .unwrap();
        assert!(made.success());
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// What a container granted 226:128 alone can do, however its rules are enforced.
fn assert_only_226_128_is_granted(inside: &mut Inside) {
    inside.node("granted", "226", "128");
    inside.node("other", "226", "129");
    inside.node("null", "1", "3");
    inside.node("fuse", "10", "229");
    let cases = [
        (": <granted", "ENXIO"),
        (": >>granted", "ENXIO"),
        (": <>granted", "ENXIO"),
        (": <other", "EPERM"),
        (": >>other", "EPERM"),
        (": <>other", "EPERM"),
        (": <>null", "done"),
        (": <fuse", "EPERM"),
        // mknod of everything is a default rule, opening what was made is not.
        ("mknod made-granted c 226 128", "done"),
        (": <>made-granted", "ENXIO"),
        ("mknod made-other c 226 129", "done"),
        (": <>made-other", "EPERM"),
        ("mknod made-disk b 226 128", "done"),
        (": <made-disk", "EPERM"),
    ];
    for (command, expected) in cases {
        assert_eq!(inside.answer(command), expected, "{command}");
    }
}

const SECOND_RUN: &str = "AMD_TEST_SECOND_RUN";

/// Shell that leaves the unified hierarchy as the only one in the mount namespace.
const UNIFIED_ONLY: &str = "mount -t cgroup2 cgroup2 /sys/fs/cgroup";

fn is_second_run() -> bool {
    env::var_os(SECOND_RUN).is_some()
}

/// Runs a test again, in a mount namespace of its own and after `setup`. `test` is its path with
/// that of its module.
fn run_again(test: &str, setup: &str) {
    let (_crate, name) = test.split_once("::").unwrap();
    let script = format!(r#"{setup} && exec "$0" "$@""#);
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "sh", "-c", &script])
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(SECOND_RUN, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}\n{errors}");
    assert!(text.contains("1 passed"), "the test did not run: {text}");
}

/// Runs a test again with the unified hierarchy alone. Returns whether this is that run.
fn in_unified_namespace(test: &str) -> bool {
    if !is_second_run() && v2_root().is_some() {
        run_again(test, UNIFIED_ONLY);
    }
    is_second_run()
}

/// To be called in a cgroup two levels below the root, which bears it if the refusal fails.
fn assert_cgroups_that_hold_the_caller_are_refused() {
    let own_pid = std::process::id().cast_signed();
    let own = DevicesCgroup::of_process(own_pid).unwrap().dir;
    let beside = Inside::of(own.parent().unwrap());
    for pid in [own_pid, beside.pid()] {
        let error = enforce(pid, &table(GPU), None).unwrap_err();
        assert!(
            matches!(error, DeviceCgroupError::SharedCgroup { .. }),
            "{error}"
        );
    }
}
