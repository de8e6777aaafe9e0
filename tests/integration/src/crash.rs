//! Commands that are killed at a system call of one's choice, by strace's fault injection.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::host::SimulatedHost;
use crate::outcome::Outcome;
use crate::runtime::Runtime;

/// Where strace writes on a host.
const TRACE: &str = "/run/trace";

/// Exit code of a program that SIGKILL ended.
const KILLED: i32 = 137;

/// A system call of a command: its name, and which of that name it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    name: String,
    nth: usize,
}

/// The system calls of the runtime with `words`, in order; not those of its children.
///
/// # Errors
/// Where strace is missing or the command fails.
pub fn calls(host: &SimulatedHost, runtime: &Runtime<'_>, words: &[&str]) -> Result<Vec<Call>> {
    let outcome = strace(host, runtime, &[], words)?;
    ensure!(outcome.code == 0, "{outcome}");
    let read = || {
        let trace = fs::read_to_string(TRACE);
        trace.and_then(|trace| fs::remove_file(TRACE).map(|()| trace))
    };
    let trace = host.inside(read)?.context("no trace")?;
    Ok(parse(&trace))
}

/// Of lines as `openat(AT_FDCWD, ...) = 3`; others, such as signals, are no calls.
fn parse(trace: &str) -> Vec<Call> {
    let mut seen = BTreeMap::new();
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    trace
        .lines()
        .filter_map(|line| line.split_once('('))
        .filter(|(name, _)| is_name(name))
        .map(|(name, _)| {
            let nth = seen.entry(name.to_owned()).or_insert(0);
            *nth += 1;
            Call {
                name: name.to_owned(),
                nth: *nth,
            }
        })
        .collect()
}

/// Runs the runtime and kills it at a system call. Whether it came that far.
///
/// # Errors
/// Where strace is missing.
pub fn killed_at(
    host: &SimulatedHost,
    runtime: &Runtime<'_>,
    call: &Call,
    words: &[&str],
) -> Result<bool> {
    let Call { name, nth } = call;
    let inject = format!("inject={name}:signal=KILL:when={nth}");
    let outcome = strace(host, runtime, &["-e", &inject], words)?;
    // A file of this module's own is not for others to find.
    host.inside(|| fs::remove_file(TRACE))??;
    Ok(outcome.code == KILLED)
}

fn strace(
    host: &SimulatedHost,
    runtime: &Runtime<'_>,
    options: &[&str],
    words: &[&str],
) -> Result<Outcome> {
    let command = runtime.command(words);
    let mut strace = Command::new("strace");
    strace
        .args(["-o", TRACE])
        .args(options)
        .arg(command.get_program())
        .args(command.get_args());
    Outcome::of(host, &mut strace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_name() {
        let trace = "\
execve(\"/bin/x\", [\"x\"], 0x7ffd) = 0
openat(AT_FDCWD, \"/etc/a\", O_RDONLY) = 3
--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---
openat(AT_FDCWD, \"/etc/b\", O_RDONLY) = 4
+++ exited with 0 +++
";
        let call = |name: &str, nth| Call {
            name: name.into(),
            nth,
        };
        assert_eq!(
            parse(trace),
            [call("execve", 1), call("openat", 1), call("openat", 2)]
        );
    }
}
