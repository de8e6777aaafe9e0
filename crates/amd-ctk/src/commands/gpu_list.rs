//! `amd-ctk gpu list`: the host's GPUs and what is known of each.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use discovery::edits::container_edits;
use discovery::{Gpu, HostRoot};
use serde::Serialize;

use super::{discover, warn_of_no_gpus};
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
    if inventory.gpus.is_empty() {
        warn_of_no_gpus(streams.err);
    }
    if let Err(error) = container_edits(&host, &inventory.gpus) {
        CommandError::from(error).report("warning", streams.err);
    }
    Ok(())
}

/// The shape of `--format json` and `--format yaml`. Keys may be added, none is
/// removed or renamed; a value that the host does not tell is `null`.
///
/// ```json
/// {
///   "gpus": [
///     {
///       "index": 0,
///       "cdi_name": "amd.com/gpu=0",
///       "uuid": "0xE3AA140F9A5F9E31",
///       "pci_address": "0000:05:00.0",
///       "partition": { "index": 0, "compute_mode": "SPX", "memory_mode": "NPS1" },
///       "name": "AMD Instinct MI300X",
///       "device_id": "0x74a1",
///       "memory_bytes": 206141652992,
///       "nodes": [
///         { "path": "/dev/dri/card1", "present": true },
///         { "path": "/dev/dri/renderD128", "present": true }
///       ],
///       "numa_node": 0,
///       "graphics_only": false,
///       "compute": { "node_id": 2, "gpu_id": 40134, "gfx": "gfx942" }
///     }
///   ]
/// }
/// ```
#[derive(Debug, Serialize)]
struct Listing {
    /// In the order in which `AMD_VISIBLE_DEVICES` counts.
    gpus: Vec<ListedGpu>,
}

#[derive(Debug, Serialize)]
struct ListedGpu {
    index: usize,
    cdi_name: String,
    uuid: Option<String>,
    pci_address: String,
    /// `null` where the GPU cannot be partitioned.
    partition: Option<ListedPartition>,
    name: Option<String>,
    /// The PCI device id, in hexadecimal.
    device_id: Option<String>,
    memory_bytes: Option<u64>,
    /// The GPU's own nodes, as the host names them.
    nodes: Vec<ListedNode>,
    numa_node: Option<u32>,
    /// Whether the GPU has no KFD node: it draws and encodes, but ROCm cannot use it.
    graphics_only: bool,
    /// The KFD node.
    compute: Option<ListedCompute>,
}

#[derive(Debug, Serialize)]
struct ListedPartition {
    index: u32,
    compute_mode: Option<String>,
    memory_mode: Option<String>,
}

#[derive(Debug, Serialize)]
struct ListedNode {
    path: String,
    present: bool,
}

#[derive(Debug, Serialize)]
struct ListedCompute {
    node_id: u32,
    gpu_id: u32,
    gfx: Option<String>,
}

impl Listing {
    fn new(host: &HostRoot, gpus: &[Gpu]) -> Self {
        Self {
            gpus: gpus.iter().map(|gpu| ListedGpu::new(host, gpu)).collect(),
        }
    }
}

impl ListedGpu {
    fn new(host: &HostRoot, gpu: &Gpu) -> Self {
        Self {
            index: gpu.index,
            cdi_name: gpu.cdi_name(),
            uuid: gpu.uuid.map(|uuid| uuid.to_string()),
            pci_address: gpu.pci.to_string(),
            partition: gpu.partition.as_ref().map(|partition| ListedPartition {
                index: partition.index,
                compute_mode: partition.compute_mode.clone(),
                memory_mode: partition.memory_mode.clone(),
            }),
            name: gpu.name.clone(),
            device_id: gpu.device_id.map(|id| format!("0x{id:04x}")),
            memory_bytes: gpu.memory_bytes,
            nodes: gpu
                .card
                .iter()
                .chain(&gpu.render)
                .map(|node| listed_node(host, node))
                .collect(),
            numa_node: gpu.numa_node,
            graphics_only: gpu.graphics_only(),
            compute: gpu.compute.as_ref().map(|node| ListedCompute {
                node_id: node.node_id,
                gpu_id: node.gpu_id,
                gfx: node.gfx.clone(),
            }),
        }
    }
}

fn listed_node(host: &HostRoot, node: &Path) -> ListedNode {
    let metadata = fs::metadata(host.join(node));
    ListedNode {
        path: node.display().to_string(),
        present: metadata.is_ok_and(|metadata| metadata.file_type().is_char_device()),
    }
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

/// `3 (CPX/NPS4)`, with the modes that are known.
fn partition_text(partition: &ListedPartition) -> String {
    let modes = [&partition.compute_mode, &partition.memory_mode];
    let modes: Vec<&str> = modes.into_iter().flatten().map(String::as_str).collect();
    match modes.as_slice() {
        [] => partition.index.to_string(),
        modes => format!("{} ({})", partition.index, modes.join("/")),
    }
}

fn name_text(gpu: &ListedGpu) -> String {
    let name = gpu
        .name
        .as_ref()
        .or(gpu.device_id.as_ref())
        .map_or("-", String::as_str);
    if gpu.graphics_only {
        format!("{name} (graphics only)")
    } else {
        name.to_owned()
    }
}

fn nodes_text(nodes: &[ListedNode]) -> String {
    let nodes: Vec<String> = nodes
        .iter()
        .map(|node| {
            if node.present {
                node.path.clone()
            } else {
                format!("{} (missing)", node.path)
            }
        })
        .collect();
    if nodes.is_empty() {
        "-".to_owned()
    } else {
        nodes.join(" ")
    }
}
