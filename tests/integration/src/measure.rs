//! What programs take, and what is made of many runs of one.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

use crate::outcome;

/// What a run of a program took, the processes that it waited for included.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Used {
    /// From its start to its end.
    pub wall: Duration,
    /// In user space and in the kernel.
    pub cpu: Duration,
    /// The most memory that it, or one of the processes that it waited for, had, in KiB.
    pub peak_kib: u64,
}

/// What many runs took.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<Used>);

/// A series in figures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Median of the wall time, in milliseconds.
    pub wall_ms: f64,
    /// The tenth percentile.
    pub wall_p10_ms: f64,
    /// The ninetieth.
    pub wall_p90_ms: f64,
    /// Median of the CPU time, in milliseconds.
    pub cpu_ms: f64,
    /// Median of the most memory, in megabytes (10^6 bytes).
    pub peak_mb: f64,
}

impl Series {
    /// With one more.
    pub fn push(&mut self, used: Used) {
        self.0.push(used);
    }

    /// With those of another series.
    pub fn append(&mut self, other: &Self) {
        self.0.extend(&other.0);
    }

    /// Run by run, the sum of times and the highest peak of several commands.
    pub fn sum(parts: &[&Self]) -> Self {
        let runs = parts.iter().map(|part| part.0.len()).min().unwrap_or(0);
        Self(
            (0..runs)
                .map(|run| {
                    parts.iter().fold(Used::default(), |sum, part| Used {
                        wall: sum.wall + part.0[run].wall,
                        cpu: sum.cpu + part.0[run].cpu,
                        peak_kib: sum.peak_kib.max(part.0[run].peak_kib),
                    })
                })
                .collect(),
        )
    }

    /// Its figures; zero where there are no runs.
    pub fn summary(&self) -> Summary {
        let sorted = |value: &dyn Fn(&Used) -> f64| {
            let mut values: Vec<f64> = self.0.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            values
        };
        let wall = sorted(&|used| used.wall.as_secs_f64() * 1e3);
        Summary {
            wall_ms: percentile(&wall, 50),
            wall_p10_ms: percentile(&wall, 10),
            wall_p90_ms: percentile(&wall, 90),
            cpu_ms: percentile(&sorted(&|used| used.cpu.as_secs_f64() * 1e3), 50),
            peak_mb: percentile(&sorted(&|used| used.peak_kib as f64 * 1024.0 / 1e6), 50),
        }
    }
}

/// The percentile of sorted values: that which is nearest to it.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let index = (sorted.len().saturating_sub(1) * percent + 50) / 100;
    sorted.get(index).copied().unwrap_or_default()
}

/// Waits for a child that was started then. Its exit code, and what it took.
///
/// # Errors
/// Where it is no child.
#[allow(unsafe_code)]
pub fn wait(pid: u32, started: Instant) -> Result<(i32, Used)> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live, writable values of the types that wait4(2) fills.
    if unsafe { libc::wait4(pid as i32, &mut status, 0, &mut usage) } < 0 {
        bail!("wait4: {}", std::io::Error::last_os_error());
    }
    let used = Used {
        wall: started.elapsed(),
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        peak_kib: usage.ru_maxrss as u64,
    };
    Ok((outcome::code(ExitStatus::from_raw(status)), used))
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_micros(time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn used(ms: u64, peak_kib: u64) -> Used {
        Used {
            wall: Duration::from_millis(ms),
            cpu: Duration::from_millis(ms),
            peak_kib,
        }
    }

    #[test]
    fn a_summary_has_the_median_and_the_outer_tenths() {
        let series = Series((0..=10).rev().map(|ms| used(ms, 1000)).collect());
        let summary = series.summary();
        let wall = [summary.wall_p10_ms, summary.wall_ms, summary.wall_p90_ms];
        assert_eq!(wall, [1.0, 5.0, 9.0]);
        assert_eq!(summary.peak_mb, 1.024);
    }

    #[test]
    fn of_a_few_runs_the_outer_tenths_are_the_outer_runs() {
        let summary = Series([7, 8, 9].map(|ms| used(ms, 1)).to_vec()).summary();
        let wall = [summary.wall_p10_ms, summary.wall_ms, summary.wall_p90_ms];
        assert_eq!(wall, [7.0, 8.0, 9.0]);
    }

    #[test]
    fn a_sum_adds_times_and_takes_the_highest_peak() {
        let (one, other) = (Series(vec![used(1, 7)]), Series(vec![used(2, 5)]));
        let sum = Series::sum(&[&one, &other]);
        assert_eq!(sum.0[0].wall, Duration::from_millis(3));
        assert_eq!(sum.0[0].peak_kib, 7);
    }
}
