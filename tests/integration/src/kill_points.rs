//! A program that is killed at one system call after another, by strace's fault injection.

use std::fs;
use std::process::Command;

use crate::host::SimulatedHost;
use crate::outcome::Outcome;
use crate::strace::{self, Call};

const TRACE: &str = "/run/kill-points";

/// The calls by which a program changes files; openat(2) only where it may make one.
const MODIFYING: [&str; 22] = [
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
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "write",
];

/// Runs the command to its end. The system calls by which it changed files, in order.
///
/// # Panics
/// When it fails, or strace does.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
pub fn modifying_calls(host: &SimulatedHost, command: &Command) -> Vec<Call> {
    strace(host, command, &[]).ok();
    let trace = host.inside(|| fs::read_to_string(TRACE)).unwrap().unwrap();
    modifying(&trace)
}

/// Runs the command and kills it as it enters a system call.
///
/// # Panics
/// When it ends before.
#[track_caller]
pub fn killed_at(host: &SimulatedHost, command: &Command, at: &Call) {
    let outcome = kill_at(host, command, at);
    assert_eq!(outcome.code, 137, "{at:?}: {outcome}");
}

/// As [`killed_at`], for a command that does not make the same calls each time. Whether it came
/// that far.
#[track_caller]
pub fn was_killed_at(host: &SimulatedHost, command: &Command, at: &Call) -> bool {
    kill_at(host, command, at).code == 137
}

#[track_caller]
fn kill_at(host: &SimulatedHost, command: &Command, at: &Call) -> Outcome {
    strace(host, command, &["-e", &at.killing()])
}

#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
fn strace(host: &SimulatedHost, command: &Command, options: &[&str]) -> Outcome {
    strace::run(host, command, TRACE, options).unwrap()
}

fn modifying(trace: &str) -> Vec<Call> {
    let modifies = |(call, arguments): &(Call, &str)| {
        let name = call.name();
        MODIFYING.contains(&name) || (name == "openat" && arguments.contains("O_CREAT"))
    };
    let calls = strace::parse(trace).into_iter();
    calls.filter(modifies).map(|(call, _)| call).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_files_is_found() {
        let trace = "\
openat(AT_FDCWD, \"/etc/x\", O_RDONLY|O_CLOEXEC) = 3
write(1, \"a\", 1) = 1
openat(AT_FDCWD, \"/etc/.y\", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 3
write(3, \"b\", 1) = 1
+++ exited with 0 +++
";
        let found: Vec<_> = modifying(trace).iter().map(Call::killing).collect();
        let expected = [
            "write:signal=KILL:when=1",
            "openat:signal=KILL:when=2",
            "write:signal=KILL:when=2",
        ];
        assert_eq!(found, expected.map(|what| format!("inject={what}")));
    }
}
