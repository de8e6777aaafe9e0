//! System calls of a program, and its end at one of them, by strace's fault injection.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::Result;

use crate::host::SimulatedHost;
use crate::outcome::Outcome;

/// A system call of a program: its name, and which of that name it is, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    name: String,
    nth: usize,
}

impl Call {
    /// The name of the system call.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What strace's `-e` takes to kill the program as it enters the call.
    pub fn killing(&self) -> String {
        format!("inject={}:signal=KILL:when={}", self.name, self.nth)
    }
}

/// The calls of a trace, with their arguments and results. Of lines as `openat(AT_FDCWD, ...) = 3`;
/// others, such as signals, are no calls.
pub fn parse(trace: &str) -> Vec<(Call, &str)> {
    let mut seen = BTreeMap::new();
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    trace
        .lines()
        .filter_map(|line| line.split_once('('))
        .filter(|(name, _)| is_name(name))
        .map(|(name, arguments)| {
            let nth = seen.entry(name).or_insert(0);
            *nth += 1;
            let call = Call {
                name: name.to_owned(),
                nth: *nth,
            };
            (call, arguments)
        })
        .collect()
}

/// The program under strace, which writes to the file `trace`.
pub fn command(program: &Command, trace: &str, options: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    strace
        .args(["-o", trace])
        .args(options)
        .arg(program.get_program())
        .args(program.get_args());
    strace
}

/// Runs the program under strace, which writes to the file `trace` on the host.
///
/// # Errors
/// Where strace is missing.
pub fn run(
    host: &SimulatedHost,
    program: &Command,
    trace: &str,
    options: &[&str],
) -> Result<Outcome> {
    Outcome::of(host, &mut command(program, trace, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_their_names() {
        let trace = "\
execve(\"/bin/x\", [\"x\"], 0x7ffd) = 0
openat(AT_FDCWD, \"/etc/a\", O_RDONLY) = 3
--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED} ---
openat(AT_FDCWD, \"/etc/b\", O_RDONLY) = 4
+++ exited with 0 +++
";
        let calls: Vec<_> = parse(trace)
            .into_iter()
            .map(|(call, _)| (call.name, call.nth))
            .collect();
        let expected = [("execve", 1), ("openat", 1), ("openat", 2)];
        assert_eq!(calls, expected.map(|(name, nth)| (name.to_owned(), nth)));
    }
}
