//! `events`

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::{ContainerId, Notice, Stats};
use anyhow::{Context as _, Result, ensure};

use super::Context;

/// Print what a container uses, and when it runs out of memory, as JSON lines
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print once and exit
    #[arg(long)]
    stats: bool,
    /// Time between two lines, as in 500ms, 5s or 1m
    #[arg(long, value_parser = duration, default_value = "5s")]
    interval: Duration,
    /// The container
    id: ContainerId,
}

impl Args {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        let runtime = &context.runtime;
        let first = runtime.stats(&self.id)?;
        ensure!(
            !self.interval.is_zero(),
            "duration interval must be greater than 0"
        );
        if self.stats {
            self.print("stats", Some(&first))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut watch = runtime.watch(&self.id)?;
        let mut next = Instant::now() + self.interval;
        loop {
            match watch.next(next.saturating_duration_since(Instant::now()))? {
                Notice::Stopped => return Ok(ExitCode::SUCCESS),
                Notice::OutOfMemory(times) => {
                    for _ in 0..times {
                        self.print("oom", None)?;
                    }
                }
                Notice::Nothing => {
                    next = Instant::now() + self.interval;
                    // One that has just stopped is told by the watch.
                    if let Ok(stats) = runtime.stats(&self.id) {
                        self.print("stats", Some(&stats))?;
                    }
                }
            }
        }
    }

    /// Prints an event as runc does, in one line.
    fn print(&self, kind: &'static str, data: Option<&Stats>) -> Result<()> {
        let id = self.id.as_str();
        let event = Event {
            r#type: kind,
            id,
            data,
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&event)?)?;
        Ok(out.flush()?)
    }
}

/// An event of runc (its package `types`).
#[derive(serde::Serialize)]
struct Event<'e> {
    r#type: &'static str,
    id: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'e Stats>,
}

/// A duration as Go writes it, with one unit.
fn duration(text: &str) -> Result<Duration> {
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: f64 = number
        .parse()
        .with_context(|| format!("invalid duration {text:?}"))?;
    let scale = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => anyhow::bail!("invalid duration {text:?}: a unit of ms, s, m or h is needed"),
    };
    Duration::try_from_secs_f64(number * scale)
        .with_context(|| format!("invalid duration {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        for text in ["", "5", "s", "1x", "-1s", "1e99h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
