//! What became of a program that was run.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result};

use crate::host::SimulatedHost;

/// How a program ended and what it said.
#[derive(Debug)]
#[must_use = "say what is expected: ok() or fails()"]
pub struct Outcome {
    /// Its command line.
    pub line: String,
    /// Its exit code; 128 + N for one that signal N ended.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Outcome {
    /// Runs a program on the host and waits for it. Output goes through files, not pipes:
    /// what it leaves running, such as a created container, may hold on to them.
    ///
    /// # Errors
    /// Where the program cannot be started.
    pub fn of(host: &SimulatedHost, command: &mut Command) -> Result<Self> {
        let stdout = tempfile::tempfile().context("cannot make a file for output")?;
        let stderr = tempfile::tempfile().context("cannot make a file for output")?;
        command
            .stdout(stdout.try_clone()?)
            .stderr(stderr.try_clone()?);
        let status = host.spawn(command)?.wait()?;
        // Held by `command` otherwise, which callers keep.
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self {
            line: line(command),
            code: code(status),
            stdout: read(stdout)?,
            stderr: read(stderr)?,
        })
    }

    /// Standard output of a program that succeeded.
    ///
    /// # Panics
    /// When it failed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self}");
        self.stdout
    }

    /// Standard error of a program that failed with exit code `code`.
    ///
    /// # Panics
    /// When it ended otherwise.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self}");
        self.stderr
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ {}\nexit code {}", self.line, self.code)?;
        writeln!(f, "--- stdout\n{}", self.stdout.trim_end())?;
        write!(f, "--- stderr\n{}", self.stderr.trim_end())
    }
}

/// The exit code as a shell gives it.
pub fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

fn line(command: &Command) -> String {
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

fn read(mut file: File) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
