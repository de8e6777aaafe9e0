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
    /// Time between two lines, as in 500ms, 5s or 1m30s
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

/// Units of Go's durations, in nanoseconds, and with two ways to write the micro sign.
const UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// A duration as Go writes it (`time.ParseDuration`), as in `1m30s` and `1.5h`; not more than fit
/// there, 292 years, and none below zero.
fn duration(text: &str) -> Result<Duration> {
    let invalid = || format!("invalid duration {text:?}");
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    ensure!(!rest.is_empty(), invalid());
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (number, after) = rest.split_at(rest.find(|c| !is_number(c)).unwrap_or(rest.len()));
        let number: f64 = number.parse().with_context(invalid)?;
        let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let scale = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, scale) = scale.with_context(|| {
            format!("invalid duration {text:?}: a unit of ns, us, ms, s, m or h is needed")
        })?;
        nanoseconds += number * scale;
        rest = after;
    }
    ensure!(nanoseconds < i64::MAX as f64, invalid());
    Ok(Duration::from_nanos(nanoseconds as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_in_go() {
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("1.5s").unwrap(), Duration::from_millis(1500));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        assert_eq!(duration("1m30s").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("1h0.5m").unwrap(), Duration::from_secs(3630));
        assert_eq!(duration("+.5s").unwrap(), Duration::from_millis(500));
        for micro in ["100us", "100\u{b5}s", "100\u{3bc}s", "100000ns"] {
            assert_eq!(
                duration(micro).unwrap(),
                Duration::from_micros(100),
                "{micro}"
            );
        }
        assert_eq!(duration("0").unwrap(), Duration::ZERO);
        assert!(duration("2562047h").is_ok());
        for text in [
            "",
            "+",
            "5",
            "s",
            "1x",
            "-1s",
            "1e99h",
            "1m30",
            "1.1.1s",
            ".s",
            "m5",
            "2562048h",
            "99999999999999999999h",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
