//! `events`

use std::io::Write;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Context;
use crate::{ContainerId, Status};

/// Print what a container uses, as JSON lines
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
        ensure!(
            !self.interval.is_zero(),
            "duration interval must be greater than 0"
        );
        let mut out = std::io::stdout().lock();
        loop {
            let event = context.runtime.stats(&self.id)?.event(&self.id);
            writeln!(out, "{event}")?;
            out.flush()?;
            if self.stats {
                return Ok(ExitCode::SUCCESS);
            }
            sleep(self.interval);
            let gone = |state: &crate::ContainerState| state.status == Status::Stopped;
            if context.runtime.state(&self.id).as_ref().map_or(true, gone) {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
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
