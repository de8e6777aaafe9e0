//! `amd-ctk` on a host of 64 partitions, beside what the Go toolkit took.

use anyhow::Result;
use serde::Serialize;

use crate::commands::Bench;
use integration::measure::{Series, Summary};

/// The commands, and what those of AMD's toolkit in Go were measured to take on a host of 64
/// partitions, elsewhere, in milliseconds from start to end. The first does nothing: its
/// time is that of a process's start.
const COMMANDS: [(&[&str], Option<f64>); 3] = [
    (&["version"], None),
    (&["cdi", "generate", "--output=-"], Some(562.0)),
    (&["gpu", "list"], Some(14.8)),
];

/// What one took.
#[derive(Clone, Debug, Serialize)]
pub struct Command {
    /// Its words.
    pub command: String,
    /// Ours.
    pub ours: Summary,
    /// The wall time of the Go toolkit's, in milliseconds.
    pub go_ms: Option<f64>,
}

/// Runs each command `runs` times, in turn.
///
/// # Errors
/// Where one fails.
pub fn measure(bench: &mut Bench, ctk: &str, runs: usize) -> Result<Vec<Command>> {
    let mut all = COMMANDS.map(|_| Series::default());
    for round in 0..runs + 2 {
        for ((words, _), series) in COMMANDS.iter().zip(&mut all) {
            let used = bench.runner.run(&[&[ctk], *words].concat())?;
            if round > 1 {
                series.push(used);
            }
        }
    }
    let figures = |((words, go_ms), series): ((&[&str], Option<f64>), Series)| Command {
        command: words.join(" "),
        ours: series.summary(),
        go_ms,
    };
    Ok(COMMANDS.into_iter().zip(all).map(figures).collect())
}
