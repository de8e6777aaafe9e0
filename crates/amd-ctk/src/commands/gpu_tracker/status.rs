//! `amd-ctk gpu-tracker status`

use std::io::{self, IsTerminal as _};
use std::thread;
use std::time::Duration;

use anyhow::anyhow;
use chrono::Utc;
use gpu_tracker::{GrantedGpu, Tracker};

use super::super::{identify, warn_of_missing};
use super::view::View;
use crate::cli::GlobalArgs;
use crate::cli::gpu_tracker::StatusArgs;
use crate::error::CommandError;
use crate::output::{Format, Streams, write_json, write_table, write_yaml};

/// Clears a terminal and goes to its first line (ECMA-48, ED and CUP).
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Shows who has which GPU, once or again and again.
///
/// # Errors
/// Where the GPUs or the settings cannot be read.
pub(super) fn run(
    args: &StatusArgs,
    global: &GlobalArgs,
    tracker: &Tracker,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let Some(seconds) = args.watch else {
        return show(args, global, tracker, streams);
    };
    let terminal = io::stdout().is_terminal();
    loop {
        if terminal {
            write!(streams.out, "{CLEAR}")?;
        }
        show(args, global, tracker, streams)?;
        if !terminal && args.format == Format::Table {
            // What tells one from the next in a pipe.
            writeln!(streams.out)?;
        }
        streams.out.flush()?;
        thread::sleep(Duration::from_secs_f64(seconds));
    }
}

fn show(
    args: &StatusArgs,
    global: &GlobalArgs,
    tracker: &Tracker,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    // Anew each time: a partition switch while it is watched shows.
    let (host, inventory) = identify(global)?;
    let gpus: Vec<GrantedGpu> = inventory.gpus.iter().map(GrantedGpu::from).collect();
    let status = tracker.status(&gpus)?;
    let view = View::new(&status, &host);
    match args.format {
        Format::Json => write_json(streams.out, &view)?,
        Format::Yaml => write_yaml(streams.out, &view)?,
        Format::Table if !status.enabled => writeln!(streams.out, "GPU Tracker is disabled")?,
        Format::Table => {
            if !gpus.is_empty() {
                write_rows(&view, streams)?;
            }
            warn_of_missing(&inventory, streams.err);
        }
    }
    warn(&view, streams);
    for unreadable in &status.unreadable {
        let (path, reason) = (unreadable.path.display(), &unreadable.reason);
        let warning = anyhow!("cannot read which GPUs a container has, {path}: {reason}");
        CommandError::new(warning, None).report("warning", streams.err);
    }
    Ok(())
}

fn write_rows(view: &View, streams: &mut Streams<'_>) -> io::Result<()> {
    let titles = [
        "GPU Id",
        "UUID",
        "Accessibility",
        "Container Ids",
        "PID",
        "Since",
        "Engine",
        "Image",
        "Memory",
        "Busy",
    ];
    let now = Utc::now();
    write_table(
        streams.out,
        titles,
        view.gpus.iter().flat_map(|gpu| gpu.rows(now)),
    )
}

/// What the table has no place for.
fn warn(view: &View, streams: &mut Streams<'_>) {
    let mut warn = |warning: String, hint: &str| {
        CommandError::new(anyhow!(warning), Some(hint.to_owned())).report("warning", streams.err);
    };
    for container in &view.elsewhere {
        let (id, pid) = (&container.id, container.pid);
        warn(
            format!("container {id} (pid {pid}) has a GPU that is not on this host any more"),
            "the partition mode of its board has changed, or the board is gone: restart it",
        );
    }
    for gpu in &view.void_settings {
        let name = gpu.uuid.as_ref().unwrap_or(&gpu.pci_address);
        let partition = match (gpu.partition, &gpu.compute_mode) {
            (Some(partition), Some(mode)) => format!(" (partition {partition} in {mode} mode)"),
            _ => String::new(),
        };
        warn(
            format!("{name}{partition} is exclusive by the settings, and not on this host"),
            "it is again when it comes back; `amd-ctk gpu-tracker reset` forgets it",
        );
    }
}
