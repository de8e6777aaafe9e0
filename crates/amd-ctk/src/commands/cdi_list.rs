//! `amd-ctk cdi list`: the CDI names of the host's GPUs.

use std::io::{self, Write};

use discovery::edits::container_edits;
use discovery::{CDI_KIND, Gpu};

use super::{discover, warn_of_no_gpus};
use crate::cli::GlobalArgs;
use crate::error::CommandError;
use crate::output::Streams;

/// Lists the names under which containers can ask for this host's GPUs, each with
/// its DRM nodes:
///
/// ```text
/// Found 1 AMD GPU device
/// amd.com/gpu=all
/// amd.com/gpu=0
///   /dev/dri/card1
///   /dev/dri/renderD128
/// ```
///
/// # Errors
///
/// If the GPUs cannot be read, or if a node of one is missing: the list says what a
/// container can be given, so it has no name that would not work. `amd-ctk gpu list`
/// shows such a GPU, with the node marked.
pub fn run(global: &GlobalArgs, streams: &mut Streams<'_>) -> Result<(), CommandError> {
    let (host, inventory) = discover(global)?;
    container_edits(&host, &inventory.gpus)?;
    if inventory.gpus.is_empty() {
        warn_of_no_gpus(streams.err);
    }
    Ok(write_list(streams.out, &inventory.gpus)?)
}

fn write_list(out: &mut dyn Write, gpus: &[Gpu]) -> io::Result<()> {
    let plural = if gpus.len() == 1 { "" } else { "s" };
    writeln!(out, "Found {} AMD GPU device{plural}", gpus.len())?;
    if !gpus.is_empty() {
        writeln!(out, "{CDI_KIND}=all")?;
    }
    for gpu in gpus {
        writeln!(out, "{}", gpu.cdi_name())?;
        for node in gpu.card.iter().chain(&gpu.render) {
            writeln!(out, "  {}", node.display())?;
        }
    }
    Ok(())
}
