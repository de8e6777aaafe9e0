//! `amd-ctk system`: host set-up.

use std::fs;
use std::path::Path;

use anyhow::anyhow;
use discovery::HostRoot;

use super::check_host_root;
use crate::cli::GlobalArgs;
use crate::cli::system::{SetupArgs, SystemCommand, UdevRulesArgs};
use crate::error::CommandError;
use crate::modprobe::blacklisted;
use crate::output::Streams;
use crate::system::{Direction, Setup, SetupError, cdi_refresh, load_module, plan, udev_rules};

/// Sets the host up, or takes that back, or shows either, and says what was done.
///
/// # Errors
/// Where a file is not ours or the system refuses: then nothing of that file changes. Where
/// the running system cannot be told, which is known before anything changes unless a program
/// fails.
pub fn run(
    command: &SystemCommand,
    global: &GlobalArgs,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let host = check_host_root(global)?;
    match command {
        SystemCommand::UdevRules(args) => {
            if !args.setup.remove && !args.setup.print && !args.setup.files_only {
                check_group(&host, args)?;
            }
            let setup = udev_rules::setup(args.mode, &args.group);
            perform(&host, &setup, &args.setup, streams)
        }
        SystemCommand::LoadModule(args) => {
            let setup = load_module::setup(load_module::is_loaded(&host));
            perform(&host, &setup, &args.setup, streams)?;
            if !args.setup.remove && !args.setup.print {
                warn_of_blacklist(&host, streams)?;
            }
            Ok(())
        }
        SystemCommand::CdiRefresh(args) => {
            let setup = cdi_refresh::setup(&cdi_refresh::program(&host))?;
            perform(&host, &setup, &args.setup, streams)
        }
    }
}

fn perform(
    host: &HostRoot,
    setup: &Setup,
    args: &SetupArgs,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    if args.print {
        return Ok(write!(streams.out, "{}", setup.print())?);
    }
    let direction = if args.remove {
        Direction::Remove
    } else {
        Direction::Install
    };
    let plan = plan(host, setup, direction)?;
    if args.dry_run {
        write!(streams.out, "{}", plan.diff())?;
        for step in plan.steps().iter().filter(|_| !args.files_only) {
            writeln!(streams.out, "run {step}")?;
        }
        return Ok(());
    }
    if !args.files_only {
        check_running(host, setup)?;
    }
    if !plan.changes_files() && (args.files_only || plan.steps().is_empty()) {
        return Ok(writeln!(streams.out, "nothing to change")?);
    }
    plan.carry_out()?;
    write!(streams.out, "{}", plan.summary())?;
    if args.files_only {
        return Ok(());
    }
    let mut ran = Vec::new();
    let told = plan.tell(|step| ran.push(*step));
    for step in ran {
        writeln!(streams.out, "ran {step}")?;
    }
    // Ahead of the error.
    streams.out.flush()?;
    Ok(told?)
}

/// systemd-modules-load obeys a blacklist, which `modprobe NAME` does not.
fn warn_of_blacklist(host: &HostRoot, streams: &mut Streams<'_>) -> Result<(), CommandError> {
    let found = blacklisted(host, "amdgpu")
        .map_err(|error| anyhow!(error).context("cannot read modprobe's configuration"))
        .map_err(|error| CommandError::new(error, None))?;
    if let Some(found) = found {
        CommandError::new(
            anyhow!("amdgpu is not loaded at boot: {found}"),
            Some("take it out".to_owned()),
        )
        .report("warning", streams.err);
    }
    Ok(())
}

/// What must run is known to before anything changes.
fn check_running(host: &HostRoot, setup: &Setup) -> Result<(), SetupError> {
    if host.path() != Path::new("/") {
        return Err(SetupError::OtherHost(host.path().to_owned()));
    }
    match setup.daemons.iter().find(|daemon| !daemon.runs(host)) {
        Some(daemon) => Err(SetupError::NotRunning(*daemon)),
        None => Ok(()),
    }
}

/// udev takes groups by number, and by name those of /etc/group alone.
fn check_group(host: &HostRoot, args: &UdevRulesArgs) -> Result<(), SetupError> {
    let groups = host.resolve("/etc/group").and_then(fs::read_to_string);
    let group = &args.group;
    let known = |text: String| {
        text.lines()
            .any(|line| line.split(':').next() == Some(group))
    };
    if group.parse::<u32>().is_ok() || groups.is_ok_and(known) {
        return Ok(());
    }
    Err(SetupError::NoGroup(group.clone()))
}

impl From<SetupError> for CommandError {
    fn from(error: SetupError) -> Self {
        let hint = error.hint();
        Self::new(error, hint)
    }
}
