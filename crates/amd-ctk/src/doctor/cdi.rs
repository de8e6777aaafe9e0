//! The CDI spec of the GPUs.

use discovery::CDI_KIND;

use super::{Check, CouldNotRun, Host, Outcome, count};
use crate::cdi::check::Report;
use crate::cdi::{GENERATED, SPEC_DIRS, check_ours};
use crate::system::{Daemon, cdi_refresh};

const GENERATE: &str = "`amd-ctk cdi generate` writes the spec anew";

pub(super) const SPEC: Check = Check {
    name: "cdi-spec",
    description: "there is a CDI spec, and it is valid and says what the host has",
    run: spec,
};

pub(super) const REFRESH: Check = Check {
    name: "cdi-refresh",
    description: "the CDI spec is written anew when the GPUs change",
    run: refresh,
};

fn refresh(host: &Host) -> Result<Outcome, CouldNotRun> {
    if !host.has(Daemon::Systemd.sign())? {
        return Ok(Outcome::NotApplicable("systemd does not run".to_owned()));
    }
    let link = cdi_refresh::enabled_by();
    let (dir, unit) = link.rsplit_once('/').unwrap_or_default();
    let enabled = host.names(dir)?.iter().any(|name| name == unit);
    if enabled && host.has(&link)? {
        return Ok(match refused(host)? {
            None => Outcome::Pass(format!("{unit} is enabled")),
            Some(why) => Outcome::Warn(
                format!("{unit} is enabled, and does nothing: {why}"),
                "`amd-ctk cdi generate` says what to do about it".to_owned(),
            ),
        });
    }
    let hint = "`amd-ctk system cdi-refresh` sets it up";
    if enabled {
        let detail = format!("{unit} is enabled, and there is no such unit");
        return Ok(Outcome::Warn(detail, hint.to_owned()));
    }
    let specs = host.specs()?.ours;
    Ok(if specs.is_empty() {
        Outcome::NotApplicable("there is no CDI spec to keep up".to_owned())
    } else {
        Outcome::Warn(
            "the CDI spec stays as it is when GPUs come or go, or are partitioned".to_owned(),
            hint.to_owned(),
        )
    })
}

/// Why the service leaves its file as it is, where it does.
fn refused(host: &Host) -> Result<Option<String>, CouldNotRun> {
    let options = host.text(cdi_refresh::OPTIONS)?.unwrap_or_default();
    if ["--force", "--output", "-o"]
        .iter()
        .any(|it| options.contains(it))
    {
        return Ok(None);
    }
    let refused = host.text(GENERATED)?.and_then(|text| {
        let path = host.root().join(GENERATED);
        check_ours(&path, &text).err()
    });
    Ok(refused.map(|error| error.to_string()))
}

fn spec(host: &Host) -> Result<Outcome, CouldNotRun> {
    let installed = host.specs()?;
    let no_gpu = host.inventory()?.gpus.is_empty();
    if installed.ours.is_empty() {
        let unread = installed.unread_of_ours().or(installed.unread.first());
        return Ok(match unread {
            Some((_, error)) => Outcome::Warn(
                format!("no CDI spec of {CDI_KIND} that can be read: {error}"),
                installed.way_to_one(),
            ),
            None if no_gpu => Outcome::NotApplicable("no GPU for a CDI spec to name".to_owned()),
            None => Outcome::Warn(
                format!("no CDI spec of {CDI_KIND} in {}", SPEC_DIRS.join(" or ")),
                installed.way_to_one(),
            ),
        });
    }
    let report = Report::of(&installed.ours, host.root())?;
    if let Some(first) = report.findings.first() {
        let file = first.file.as_deref().unwrap_or(CDI_KIND);
        let more = match report.findings.len() - 1 {
            0 => String::new(),
            more => format!(
                ", and {} (`amd-ctk cdi validate`)",
                count(more, "more finding")
            ),
        };
        let detail = format!("{file}: {}: {}{more}", first.problem, first.message);
        let hint = if no_gpu {
            "once the GPUs are there, `amd-ctk cdi generate` writes the spec anew"
        } else {
            GENERATE
        };
        return Ok(Outcome::Fail(detail, hint.to_owned()));
    }
    let files: Vec<String> = report
        .specs
        .iter()
        .map(|spec| format!("{} (CDI {})", spec.file, spec.cdi_version))
        .collect();
    Ok(Outcome::Pass(files.join(", ")))
}
