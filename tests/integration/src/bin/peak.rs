//! `peak PROGRAM ARG...`: runs a program, and prints the most memory that it, or a process that it
//! waited for, had, in KiB.
//!
//! Small itself: the kernel reports no less than what the process had that started the program
//! (`exec_mmap` in fs/exec.c).

use std::env;
use std::process::{Command, Stdio, exit};
use std::time::Instant;

use anyhow::{Context, Result};
use integration::measure;

fn main() -> Result<()> {
    let mut words = env::args_os().skip(1);
    let program = words.next().context("no program")?;
    let child = Command::new(&program)
        .args(words)
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let (code, used) = measure::wait(child.id(), Instant::now())?;
    println!("{}", used.peak_kib);
    exit(code)
}
