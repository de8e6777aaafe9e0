//! `amd-ctk gpu list`: the host's GPUs and what is known of each.

use std::io;

use discovery::edits::container_edits;

use super::listing::{ListedGpu, Listing, name_text, nodes_text, partition_text};
use super::{discover, warn_of_missing};
use crate::cli::{GlobalArgs, GpuListArgs};
use crate::error::CommandError;
use crate::output::{Format, Streams, memory, write_json, write_table, write_yaml};

/// Lists the host's GPUs in order.
///
/// A device node that is missing is no failure: the GPU is listed, its node marked,
/// and the first such node named on stderr.
///
/// # Errors
///
/// If the GPUs cannot be read.
pub fn run(
    args: &GpuListArgs,
    global: &GlobalArgs,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let (host, inventory) = discover(global)?;
    let listing = Listing::new(&host, &inventory.gpus);
    match args.format {
        Format::Json => write_json(streams.out, &listing)?,
        Format::Yaml => write_yaml(streams.out, &listing)?,
        Format::Table if listing.gpus.is_empty() => {}
        Format::Table => write_rows(streams.out, &listing)?,
    }
    warn_of_missing(&inventory, streams.err);
    if let Err(error) = container_edits(&host, &inventory.gpus) {
        CommandError::from(error).report("warning", streams.err);
    }
    Ok(())
}

fn write_rows(out: &mut dyn io::Write, listing: &Listing) -> io::Result<()> {
    let titles = [
        "GPU",
        "UUID",
        "PCI ADDRESS",
        "PARTITION",
        "NAME",
        "MEMORY",
        "NODES",
        "NUMA",
    ];
    write_table(out, titles, listing.gpus.iter().map(row))
}

fn row(gpu: &ListedGpu) -> [String; 8] {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        gpu.index.to_string(),
        or_dash(gpu.uuid.clone()),
        gpu.pci_address.clone(),
        or_dash(gpu.partition.as_ref().map(partition_text)),
        name_text(gpu),
        or_dash(gpu.memory_bytes.map(memory)),
        nodes_text(&gpu.nodes),
        or_dash(gpu.numa_node.map(|node| node.to_string())),
    ]
}
