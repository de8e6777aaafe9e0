//! Runs programs, and measures them.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// What a run of a program took, the processes that it waited for included.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// From its start to its end.
    pub wall: Duration,
    /// In user space and in the kernel.
    pub cpu: Duration,
    /// The most memory that it had, in KiB.
    pub peak_kib: i64,
}

/// Runs a program to its end.
///
/// # Errors
/// Where it cannot be started, or fails.
pub fn run(command: &mut Command) -> Result<Used> {
    let program = command.get_program().to_owned();
    let program = Path::new(&program).display();
    let begin = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let (status, usage) = wait4(child.id() as i32)?;
    let wall = begin.elapsed();
    ensure!(status == 0, "{program} failed: {command:?}");
    Ok(Used {
        wall,
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        peak_kib: usage.ru_maxrss,
    })
}

/// Waits for a child. Its wait status, and what it used.
#[allow(unsafe_code)]
fn wait4(pid: i32) -> Result<(i32, libc::rusage)> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live, writable values of the types that wait4(2) fills.
    if unsafe { libc::wait4(pid, &mut status, 0, &mut usage) } < 0 {
        bail!("wait4: {}", std::io::Error::last_os_error());
    }
    Ok((status, usage))
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_micros(time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64)
}

/// The percentile of sorted times, in milliseconds.
pub fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len().saturating_sub(1)) * percent / 100;
    sorted
        .get(index)
        .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}
