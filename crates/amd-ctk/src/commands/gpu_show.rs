//! `amd-ctk gpu show`: all that is known of some GPUs.

use std::io;

use discovery::Gpu;
use discovery::edits::container_edits;

use super::listing::{ListedGpu, Listing, name_text, partition_text};
use super::{discover, select, warn_of_hidden};
use crate::cli::{GlobalArgs, GpuShowArgs};
use crate::error::CommandError;
use crate::output::{Format, Streams, memory, write_json, write_yaml};

/// Shows the GPUs that `args.gpus` names in the grammar of `AMD_VISIBLE_DEVICES`, in order.
/// JSON and YAML have the shape of `gpu list`.
///
/// A device node that is missing is no failure, as for `gpu list`.
///
/// # Errors
///
/// If the GPUs cannot be read, or if a part of the request names none.
pub fn run(
    args: &GpuShowArgs,
    global: &GlobalArgs,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let (host, inventory) = discover(global)?;
    warn_of_hidden(&inventory, streams.err);
    let chosen = select(&args.gpus.join(","), &inventory)?;
    let gpus: Vec<&Gpu> = chosen.iter().map(|&index| &inventory.gpus[index]).collect();
    let listing = Listing::new(&host, gpus.iter().copied());
    match args.format {
        Format::Json => write_json(streams.out, &listing)?,
        Format::Yaml => write_yaml(streams.out, &listing)?,
        Format::Table => write_blocks(streams.out, &listing.gpus)?,
    }
    if let Err(error) = container_edits(&host, gpus) {
        CommandError::from(error).report("warning", streams.err);
    }
    Ok(())
}

/// A block a GPU, a line a fact, `-` for what the host does not tell.
fn write_blocks(out: &mut dyn io::Write, gpus: &[ListedGpu]) -> io::Result<()> {
    for (position, gpu) in gpus.iter().enumerate() {
        if position > 0 {
            writeln!(out)?;
        }
        writeln!(out, "GPU {}", gpu.index)?;
        for (title, text) in facts(gpu) {
            let text = text.unwrap_or_else(|| "-".to_owned());
            writeln!(out, "  {:<14}{text}", format!("{title}:"))?;
        }
        for node in &gpu.nodes {
            let mark = if node.present { "" } else { " (missing)" };
            writeln!(out, "  {:<14}{}{mark}", "Node:", node.path)?;
        }
    }
    Ok(())
}

fn facts(gpu: &ListedGpu) -> [(&'static str, Option<String>); 9] {
    let compute = gpu.compute.as_ref();
    [
        ("CDI name", Some(gpu.cdi_name.clone())),
        ("UUID", gpu.uuid.clone()),
        ("PCI address", Some(gpu.pci_address.clone())),
        ("Partition", gpu.partition.as_ref().map(partition_text)),
        ("Name", Some(name_text(gpu))),
        ("Device id", gpu.device_id.clone()),
        ("Memory", gpu.memory_bytes.map(memory)),
        ("NUMA node", gpu.numa_node.map(|node| node.to_string())),
        (
            "KFD",
            compute.map(|node| {
                let gfx = node
                    .gfx
                    .as_ref()
                    .map(|gfx| format!(", {gfx}"))
                    .unwrap_or_default();
                let id = node
                    .gpu_id
                    .map(|id| format!(", GPU id {id}"))
                    .unwrap_or_default();
                format!("node {}{id}{gfx}", node.node_id)
            }),
        ),
    ]
}
