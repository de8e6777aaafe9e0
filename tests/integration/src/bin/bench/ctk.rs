//! `amd-ctk`: what its commands use beyond the start of the process.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use integration::host::SimulatedHost;

use crate::measure::{percentile, run};

/// The commands, and what the Go toolkit's took on a host of 64 partitions, in milliseconds
/// from start to end. The first does nothing: its time is that of a process's start.
const COMMANDS: [(&[&str], Option<f64>); 3] = [
    (&["version"], None),
    (&["cdi", "generate", "--output=-"], Some(562.0)),
    (&["gpu", "list"], Some(14.8)),
];

/// Runs each command `runs` times, in turn, and prints the medians.
///
/// # Errors
/// Where one fails.
pub fn measure(host: &SimulatedHost, ctk: &Path, runs: usize) -> Result<()> {
    let mut times = COMMANDS.map(|_| (Vec::new(), Vec::new()));
    host.inside(|| -> Result<()> {
        // One round to warm caches, not counted.
        for round in 0..=runs {
            for ((words, _), (cpu, wall)) in COMMANDS.iter().zip(&mut times) {
                let used = run(Command::new(ctk).args(*words))?;
                if round > 0 {
                    cpu.push(used.cpu);
                    wall.push(used.wall);
                }
            }
        }
        Ok(())
    })??;
    println!(
        "{:<28} {:>11} {:>11} {:>17} {:>17}",
        "amd-ctk, 64 partitions", "CPU", "wall", "CPU beyond start", "Go toolkit, wall"
    );
    let mut start = 0.0;
    for ((words, theirs), (mut cpu, mut wall)) in COMMANDS.into_iter().zip(times) {
        let (cpu, wall) = (median(&mut cpu), median(&mut wall));
        if theirs.is_none() {
            start = cpu;
        }
        println!(
            "{:<28} {cpu:>8.2} ms {wall:>8.2} ms {:>14.2} ms {:>17}",
            words.join(" "),
            (cpu - start).max(0.0),
            theirs.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1} ms")),
        );
    }
    Ok(())
}

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    percentile(times, 50)
}
