//! `amd-ctk doctor`: whether containers can use this host's GPUs, and what is in the way.

use std::io;

use anyhow::anyhow;

use super::check_host_root;
use crate::cli::{DoctorArgs, GlobalArgs};
use crate::doctor::{CheckResult, Diagnosis, Status};
use crate::error::CommandError;
use crate::output::{Format, Streams, write_json, write_yaml};

/// Runs every check, and tells what each found, with a hint where there is a way out.
///
/// # Errors
///
/// If a check failed or could not run, after all are written.
pub fn run(
    args: &DoctorArgs,
    global: &GlobalArgs,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let diagnosis = Diagnosis::of(check_host_root(global)?);
    match args.format {
        Format::Json => write_json(streams.out, &diagnosis)?,
        Format::Yaml => write_yaml(streams.out, &diagnosis)?,
        Format::Table => write(&diagnosis.checks, streams.out)?,
    }
    // Ahead of the error.
    streams.out.flush()?;
    verdict(&diagnosis.checks)
}

/// A line a check, and one for its hint: details are too long for columns.
fn write(checks: &[CheckResult], out: &mut dyn io::Write) -> io::Result<()> {
    for check in checks {
        let status = match check.status {
            Status::Pass => "ok",
            Status::NotApplicable => "-",
            Status::Warn => "warn",
            Status::Fail => "FAIL",
            Status::CouldNotRun => "????",
        };
        writeln!(out, "{status:<5} {:<17} {}", check.name, check.detail)?;
        if let Some(hint) = &check.hint {
            writeln!(out, "{:<23} hint: {hint}", "")?;
        }
    }
    Ok(())
}

fn verdict(checks: &[CheckResult]) -> Result<(), CommandError> {
    let names = |status: Status| -> Vec<&str> {
        let with_status = checks.iter().filter(|check| check.status == status);
        with_status.map(|check| check.name).collect()
    };
    let told: Vec<String> = [
        (Status::Fail, "failed"),
        (Status::CouldNotRun, "could not run"),
    ]
    .into_iter()
    .map(|(status, what)| (names(status), what))
    .filter(|(names, _)| !names.is_empty())
    .map(|(names, what)| format!("{what}: {}", names.join(", ")))
    .collect();
    if told.is_empty() {
        return Ok(());
    }
    Err(CommandError::new(anyhow!("{}", told.join("; ")), None))
}
