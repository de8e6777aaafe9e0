//! What `gpu list` and `gpu show` tell of GPUs.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use discovery::{Gpu, HostRoot};
use serde::Serialize;

use crate::output::printable;

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
pub(super) struct Listing {
    /// In the order in which `AMD_VISIBLE_DEVICES` counts.
    pub(super) gpus: Vec<ListedGpu>,
}

#[derive(Debug, Serialize)]
pub(super) struct ListedGpu {
    pub(super) index: usize,
    pub(super) cdi_name: String,
    pub(super) uuid: Option<String>,
    pub(super) pci_address: String,
    /// `null` where the GPU cannot be partitioned.
    pub(super) partition: Option<ListedPartition>,
    pub(super) name: Option<String>,
    /// The PCI device id, in hexadecimal.
    pub(super) device_id: Option<String>,
    pub(super) memory_bytes: Option<u64>,
    /// The GPU's own nodes, as the host names them.
    pub(super) nodes: Vec<ListedNode>,
    pub(super) numa_node: Option<u32>,
    /// Whether the GPU has no KFD node: it draws and encodes, but ROCm cannot use it.
    pub(super) graphics_only: bool,
    /// The KFD node.
    pub(super) compute: Option<ListedCompute>,
}

#[derive(Debug, Serialize)]
pub(super) struct ListedPartition {
    pub(super) index: u32,
    pub(super) compute_mode: Option<String>,
    pub(super) memory_mode: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ListedNode {
    pub(super) path: String,
    pub(super) present: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct ListedCompute {
    pub(super) node_id: u32,
    pub(super) gpu_id: Option<u32>,
    pub(super) gfx: Option<String>,
}

impl Listing {
    pub(super) fn new<'a>(host: &HostRoot, gpus: impl IntoIterator<Item = &'a Gpu>) -> Self {
        Self {
            gpus: gpus
                .into_iter()
                .map(|gpu| ListedGpu::new(host, gpu))
                .collect(),
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

/// `3 (CPX/NPS4)`, with the modes that are known.
pub(super) fn partition_text(partition: &ListedPartition) -> String {
    let modes = [&partition.compute_mode, &partition.memory_mode];
    let modes: Vec<&str> = modes.into_iter().flatten().map(String::as_str).collect();
    match modes.as_slice() {
        [] => partition.index.to_string(),
        modes => printable(&format!("{} ({})", partition.index, modes.join("/"))),
    }
}

pub(super) fn name_text(gpu: &ListedGpu) -> String {
    let name = gpu
        .name
        .as_ref()
        .or(gpu.device_id.as_ref())
        .map_or("-", String::as_str);
    // It is whatever the board's memory says.
    let name = printable(name);
    if gpu.graphics_only {
        format!("{name} (graphics only)")
    } else {
        name
    }
}

pub(super) fn nodes_text(nodes: &[ListedNode]) -> String {
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
