//! `amd-ctk gpu-tracker`: who uses which GPU, and which GPUs are for one container at a time.

mod engine;
mod status;
mod view;

use anyhow::anyhow;
use gpu_tracker::{
    Access, Change, GrantedGpu, Imported, LEGACY_FILE, Refused, Tracker, TrackerError,
};

use super::{check_host_root, identify, select};
use crate::cli::GlobalArgs;
use crate::cli::gpu_tracker::{GpuTrackerArgs, GpuTrackerCommand, ReleaseArgs};
use crate::error::CommandError;
use crate::output::Streams;

/// Runs a command on the tracker.
///
/// # Errors
/// Where the tracker's files cannot be read or written, and where not all of what was asked for
/// could be done.
pub fn run(
    args: &GpuTrackerArgs,
    global: &GlobalArgs,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let host = check_host_root(global)?;
    let tracker = Tracker::new(host);
    match (&args.command, &args.gpus, args.access) {
        (Some(GpuTrackerCommand::Status(args)), ..) => status::run(args, global, &tracker, streams),
        (Some(GpuTrackerCommand::Enable), ..) => enable(&tracker, &all(global)?, streams),
        (Some(GpuTrackerCommand::Disable), ..) => {
            tracker.disable()?;
            Ok(writeln!(streams.out, "GPU Tracker has been disabled")?)
        }
        (Some(GpuTrackerCommand::Reset), ..) => reset(&tracker, streams),
        (Some(GpuTrackerCommand::Init), ..) => init(&tracker, &all(global)?, streams),
        (Some(GpuTrackerCommand::Release(args)), ..) => release(args, &tracker, streams),
        (None, Some(asked), Some(access)) => {
            set_access(&chosen(asked, global)?, access.into(), &tracker, streams)
        }
        // clap asks for both.
        (None, ..) => Err(CommandError::new(
            anyhow!("name GPUs, and exclusive or shared"),
            None,
        )),
    }
}

/// The GPUs of the host.
fn all(global: &GlobalArgs) -> Result<Vec<GrantedGpu>, CommandError> {
    let (_, inventory) = identify(global)?;
    Ok(inventory.gpus.iter().map(GrantedGpu::from).collect())
}

/// The GPUs that `asked` names.
fn chosen(asked: &str, global: &GlobalArgs) -> Result<Vec<GrantedGpu>, CommandError> {
    let (_, inventory) = identify(global)?;
    let chosen = select(asked, &inventory)?;
    let gpus = chosen.iter().filter_map(|&index| inventory.gpus.get(index));
    Ok(gpus.map(GrantedGpu::from).collect())
}

fn enable(
    tracker: &Tracker,
    gpus: &[GrantedGpu],
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let enabled = tracker.enable(gpus)?;
    say_imported(enabled.imported.as_ref(), streams)?;
    if enabled.already {
        writeln!(streams.out, "GPU Tracker is already enabled")?;
    } else {
        writeln!(streams.out, "GPU Tracker has been enabled")?;
    }
    if let count @ 1.. = enabled.running.len() {
        let containers = if count == 1 {
            "container"
        } else {
            "containers"
        };
        writeln!(
            streams.out,
            "{count} {containers} with GPUs already running"
        )?;
    }
    for Refused { gpu, containers } in &enabled.overbooked {
        let containers = containers.join(", ");
        let warning = anyhow!("{gpu} is exclusive and used by several containers: {containers}");
        let hint = "no other gets it before all but one have ended";
        CommandError::new(warning, Some(hint.to_owned())).report("warning", streams.err);
    }
    Ok(())
}

fn init(
    tracker: &Tracker,
    gpus: &[GrantedGpu],
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    match tracker.init(gpus)? {
        None => writeln!(streams.out, "GPU Tracker is already initialized")?,
        Some(imported) => {
            say_imported(imported.as_ref(), streams)?;
            writeln!(streams.out, "GPU Tracker has been initialized")?;
        }
    }
    Ok(())
}

fn say_imported(
    imported: Option<&Imported>,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let Some(Imported { settings, lost }) = imported else {
        return Ok(());
    };
    let count = settings.exclusive.len();
    writeln!(
        streams.out,
        "imported from {LEGACY_FILE}: {count} exclusive GPUs"
    )?;
    for gpu in lost {
        let warning = anyhow!("GPU {gpu} was exclusive and is not on this host");
        CommandError::new(warning, None).report("warning", streams.err);
    }
    Ok(())
}

fn reset(tracker: &Tracker, streams: &mut Streams<'_>) -> Result<(), CommandError> {
    let reset = tracker.reset()?;
    writeln!(streams.out, "GPU Tracker has been reset")?;
    if let Some(reason) = reset.unreadable {
        let warning = anyhow!("the settings could not be read ({reason}): GPU Tracker is disabled");
        let hint = "`amd-ctk gpu-tracker enable` switches it on";
        CommandError::new(warning, Some(hint.to_owned())).report("warning", streams.err);
    }
    Ok(())
}

fn release(
    args: &ReleaseArgs,
    tracker: &Tracker,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let released = tracker.release(&args.id, args.force)?;
    Ok(writeln!(
        streams.out,
        "Released GPUs {} used by container {}",
        indices(&released.gpus),
        released.id
    )?)
}

fn set_access(
    gpus: &[GrantedGpu],
    access: Access,
    tracker: &Tracker,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let Change { changed, refused } = tracker.set_access(gpus, access)?;
    let word = match access {
        Access::Exclusive => "exclusive",
        Access::Shared => "shared",
    };
    if !changed.is_empty() {
        let changed = indices(&changed);
        writeln!(streams.out, "GPUs {changed} have been made {word}")?;
    }
    if refused.is_empty() {
        return Ok(());
    }
    let users: Vec<String> = refused
        .iter()
        .map(|one| format!("GPU {}: {}", one.gpu.index(), one.containers.join(", ")))
        .collect();
    let gpus: Vec<_> = refused.into_iter().map(|one| one.gpu).collect();
    Err(CommandError::new(
        anyhow!(
            "GPUs {} have not been made {word} because more than one container is currently \
             using it ({})",
            indices(&gpus),
            users.join("; ")
        ),
        Some("stop all but one of the containers, and try again".to_owned()),
    ))
}

/// As the Go toolkit writes lists: `[0 1 2]`.
fn indices(gpus: &[GrantedGpu]) -> String {
    let indices: Vec<_> = gpus.iter().map(GrantedGpu::index).collect();
    format!("[{}]", indices.join(" "))
}

impl From<TrackerError> for CommandError {
    fn from(error: TrackerError) -> Self {
        let hint = error.hint();
        Self::new(error, hint)
    }
}
