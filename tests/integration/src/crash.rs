//! Commands of the runtime that are killed at a system call of one's choice.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::host::SimulatedHost;
use crate::runtime::Runtime;
use crate::strace::{self, Call};

/// Where strace writes on a host.
const TRACE: &str = "/run/trace";

/// Exit code of a program that SIGKILL ended.
const KILLED: i32 = 137;

/// The system calls of the runtime with `words`, in order; not those of its children.
///
/// # Errors
/// Where strace is missing or the command fails.
pub fn calls(host: &SimulatedHost, runtime: &Runtime<'_>, words: &[&str]) -> Result<Vec<Call>> {
    let outcome = strace::run(host, &runtime.command(words), TRACE, &[])?;
    ensure!(outcome.code == 0, "{outcome}");
    let read = || {
        let trace = fs::read_to_string(TRACE);
        trace.and_then(|trace| fs::remove_file(TRACE).map(|()| trace))
    };
    let trace = host.inside(read)?.context("no trace")?;
    let calls = strace::parse(&trace).into_iter();
    Ok(calls.map(|(call, _)| call).collect())
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
    let options = ["-e", &*call.killing()];
    let outcome = strace::run(host, &runtime.command(words), TRACE, &options)?;
    // A file of this module's own is not for others to find.
    host.inside(|| fs::remove_file(TRACE))??;
    Ok(outcome.code == KILLED)
}
