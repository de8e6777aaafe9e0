//! A program that is killed at one system call after another, by strace's fault injection.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::host::SimulatedHost;
use crate::outcome::Outcome;

const TRACE: &str = "/run/kill-points";

/// The calls by which a program changes files; openat(2) only where it may make one.
const MODIFYING: [&str; 21] = [
    "chmod",
    "copy_file_range",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "fdatasync",
    "fsync",
    "ftruncate",
    "link",
    "linkat",
    "mkdir",
    "mkdirat",
    "pwrite64",
    "rename",
    "renameat",
    "renameat2",
    "symlinkat",
    "unlink",
    "unlinkat",
    "write",
];

/// A system call of a program: its name, and which of that name it is, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KillPoint {
    name: String,
    nth: usize,
}

/// Runs the command to its end. The system calls by which it changed files, in order.
///
/// # Panics
/// When it fails, or strace does.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
pub fn modifying_calls(host: &SimulatedHost, command: &Command) -> Vec<KillPoint> {
    strace(host, command, &[]).ok();
    let trace = host.inside(|| fs::read_to_string(TRACE)).unwrap().unwrap();
    modifying(&trace)
}

impl KillPoint {
    /// The name of the system call.
    pub fn call(&self) -> &str {
        &self.name
    }
}

/// Runs the command and kills it as it enters a system call.
///
/// # Panics
/// When it ends before.
#[track_caller]
pub fn killed_at(host: &SimulatedHost, command: &Command, at: &KillPoint) {
    let outcome = kill_at(host, command, at);
    assert_eq!(outcome.code, 137, "{at:?}: {outcome}");
}

/// As [`killed_at`], for a command that does not make the same calls each time. Whether it came
/// that far.
#[track_caller]
pub fn was_killed_at(host: &SimulatedHost, command: &Command, at: &KillPoint) -> bool {
    kill_at(host, command, at).code == 137
}

#[track_caller]
fn kill_at(host: &SimulatedHost, command: &Command, at: &KillPoint) -> Outcome {
    let inject = format!("inject={}:signal=KILL:when={}", at.name, at.nth);
    strace(host, command, &["-e", &inject])
}

#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
fn strace(host: &SimulatedHost, command: &Command, options: &[&str]) -> Outcome {
    let mut strace = Command::new("strace");
    strace
        .args(["-o", TRACE])
        .args(options)
        .arg(command.get_program())
        .args(command.get_args());
    Outcome::of(host, &mut strace).unwrap()
}

fn modifying(trace: &str) -> Vec<KillPoint> {
    let mut seen = BTreeMap::new();
    let mut points = Vec::new();
    for line in trace.lines() {
        let Some((name, arguments)) = line.split_once('(') else {
            continue;
        };
        let nth = seen.entry(name).or_insert(0);
        *nth += 1;
        if MODIFYING.contains(&name) || (name == "openat" && arguments.contains("O_CREAT")) {
            points.push(KillPoint {
                name: name.to_owned(),
                nth: *nth,
            });
        }
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_their_names() {
        let trace = "\
openat(AT_FDCWD, \"/etc/x\", O_RDONLY|O_CLOEXEC) = 3
write(1, \"a\", 1) = 1
openat(AT_FDCWD, \"/etc/.y\", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 3
write(3, \"b\", 1) = 1
+++ exited with 0 +++
";
        let expected = [("write", 1), ("openat", 2), ("write", 2)].map(|(name, nth)| KillPoint {
            name: name.to_owned(),
            nth,
        });
        assert_eq!(modifying(trace), expected);
    }
}
