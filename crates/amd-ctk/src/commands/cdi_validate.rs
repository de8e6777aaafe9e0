//! `amd-ctk cdi validate`: whether CDI specs are well formed and fit the host.

use std::io;

use anyhow::anyhow;
use discovery::{CDI_KIND, HostRoot};

use super::check_host_root;
use crate::cdi::check::{Finding, Report, installed};
use crate::cdi::on_host::Problem;
use crate::cdi::{Found, SPEC_DIRS, read_file};
use crate::cli::{CdiValidateArgs, GlobalArgs};
use crate::error::CommandError;
use crate::output::{Format, Streams, printable, write_json, write_yaml};

/// Lists what is wrong with the specs, a line each, and what was checked where nothing is.
///
/// # Errors
///
/// If there is a finding, after all are written; if there is no spec, or one cannot be read.
pub fn run(
    args: &CdiValidateArgs,
    global: &GlobalArgs,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let host = check_host_root(global)?;
    let specs = match &args.path {
        Some(path) => vec![read_file(path)?],
        None => of_our_kind(&host, streams)?,
    };
    let report = Report::of(&specs, &host)?;
    match args.format {
        Format::Json => write_json(streams.out, &report)?,
        Format::Yaml => write_yaml(streams.out, &report)?,
        Format::Table => write(&report, streams.out)?,
    }
    // Ahead of the error.
    streams.out.flush()?;
    verdict(&report)
}

fn of_our_kind(host: &HostRoot, streams: &mut Streams<'_>) -> Result<Vec<Found>, CommandError> {
    let installed = installed(host)?;
    for (_, error) in &installed.unread {
        error.report("warning", streams.err);
    }
    if installed.ours.is_empty() {
        return Err(CommandError::new(
            anyhow!("no CDI spec of {CDI_KIND} in {}", SPEC_DIRS.join(" or ")),
            Some(installed.way_to_one()),
        ));
    }
    Ok(installed.ours)
}

fn write(report: &Report, out: &mut dyn io::Write) -> io::Result<()> {
    for Finding {
        file,
        problem,
        message,
    } in &report.findings
    {
        let file = file
            .as_ref()
            .map(|file| format!("{file}: "))
            .unwrap_or_default();
        writeln!(out, "{file}{problem}: {}", printable(message))?;
    }
    if report.findings.is_empty() {
        for spec in &report.specs {
            let plural = if spec.devices == 1 { "" } else { "s" };
            writeln!(
                out,
                "valid: {} ({}, CDI {}, {} device{plural})",
                spec.file, spec.kind, spec.cdi_version, spec.devices
            )?;
        }
    }
    Ok(())
}

fn verdict(report: &Report) -> Result<(), CommandError> {
    let count = report.findings.len();
    if count == 0 {
        return Ok(());
    }
    let plural = if count == 1 { "" } else { "s" };
    let all_ours = report.specs.iter().all(|spec| spec.kind == CDI_KIND);
    let duplicate = report
        .findings
        .iter()
        .any(|finding| finding.problem == Problem::Duplicate);
    let hint = match (duplicate, all_ours) {
        (true, _) => Some("keep one of the files that have the same names".to_owned()),
        (false, true) => Some("`amd-ctk cdi generate` writes the spec anew".to_owned()),
        (false, false) => {
            Some("correct the file, or remove it if nobody needs it: engines refuse it".to_owned())
        }
    };
    Err(CommandError::new(anyhow!("{count} finding{plural}"), hint))
}
