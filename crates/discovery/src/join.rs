//! Joins what three parts of the kernel say about one GPU: the PCI device, KFD's node, DRM's nodes.

use crate::drm::{self, DrmNodes, Owner};
use crate::partition::partition_index;
use crate::topology::NodeProperties;
use crate::{ComputeNode, Gpu, Partition, PciAddress, Uuid};

/// A PCI device that amdgpu drives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Board {
    pub pci: PciAddress,
    pub device_id: Option<u16>,
    pub uuid: Option<Uuid>,
    pub name: Option<String>,
    pub memory_bytes: Option<u64>,
    pub numa_node: Option<u32>,
    pub compute_mode: Option<String>,
    pub memory_mode: Option<String>,
}

impl Board {
    /// A board of which no more is known than its address.
    pub fn at(pci: PciAddress) -> Self {
        Self {
            pci,
            device_id: None,
            uuid: None,
            name: None,
            memory_bytes: None,
            numa_node: None,
            compute_mode: None,
            memory_mode: None,
        }
    }
}

/// A GPU node of the KFD topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KfdNode {
    pub node_id: u32,
    /// Not 0; `None` where it was not read.
    pub gpu_id: Option<u32>,
    pub properties: NodeProperties,
}

/// The GPU nodes that KFD shows to this process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct KfdTopology {
    pub nodes: Vec<KfdNode>,
    /// How many nodes KFD refused to show: the device cgroup of this process denies their render nodes.
    pub denied: usize,
}

/// The GPUs of a host, in order: by PCI address, then partition, then render minor, by number.
///
/// - A KFD node belongs to the board whose render node it names, or else to the board at its
///   `domain` and `location_id`. A node of neither is no GPU that a container could be given.
/// - A node that names a render minor which DRM does not show yet (hotplug, partition switch) keeps
///   its place in the order, so that the numbers of other GPUs do not move; its render node has the
///   path that it will have, its card is not known.
/// - A node that names the render node of somebody else's PCI device (its own went away under it) is
///   listed without nodes, rather than with those.
/// - A board without a KFD node is one GPU for graphics only; but not where KFD hides nodes from
///   this process, as then it cannot be told from a board that this process must not use.
/// - Partition devices (`amdgpu_xcp_N`) that no KFD node names are idle and no GPUs.
pub(crate) fn join(boards: &[Board], kfd: &KfdTopology, drm: &DrmNodes) -> Vec<Gpu> {
    let mut gpus = Vec::with_capacity(boards.len().max(kfd.nodes.len()));
    let mut has_compute = vec![false; boards.len()];
    for node in &kfd.nodes {
        let Some(position) = board_of(node, boards, drm) else {
            continue;
        };
        has_compute[position] = true;
        gpus.push(compute_gpu(node, &boards[position], drm));
    }
    if kfd.denied == 0 {
        let graphics = boards
            .iter()
            .zip(has_compute)
            .filter(|(_, has_compute)| !has_compute);
        gpus.extend(graphics.map(|(board, _)| graphics_gpu(board, drm)));
    }
    gpus.sort_by_key(|gpu| {
        (
            gpu.pci,
            gpu.partition.as_ref().map(|partition| partition.index),
            gpu.render_minor,
        )
    });
    for (index, gpu) in gpus.iter_mut().enumerate() {
        gpu.index = index;
    }
    gpus
}

/// The position in `boards` of the board that `node` is of.
fn board_of(node: &KfdNode, boards: &[Board], drm: &DrmNodes) -> Option<usize> {
    let properties = &node.properties;
    let owner = properties
        .render_minor
        .and_then(|minor| drm.owner_of_render(minor));
    if let Some(Owner::Pci(pci)) = owner
        && let Some(position) = boards.iter().position(|board| board.pci == pci)
    {
        return Some(position);
    }
    let (bus, device) = properties.bus_and_device();
    let function = properties.function();
    let located = PciAddress {
        domain: properties.domain,
        bus,
        device,
        function,
    };
    boards
        .iter()
        .enumerate()
        .filter(|(_, board)| board.pci.same_device(&located))
        // The function bits name the function, unless the board has partitions to number in them.
        .min_by_key(|(_, board)| (board.compute_mode.is_none(), board.pci != located))
        .map(|(position, _)| position)
}

fn compute_gpu(node: &KfdNode, board: &Board, drm: &DrmNodes) -> Gpu {
    let properties = &node.properties;
    let index = partition_index(properties.location_id, board.pci.function);
    let nodes = match properties.render_minor {
        Some(minor) => match drm.owner_of_render(minor) {
            Some(Owner::Pci(pci)) if pci != board.pci => drm::Nodes::default(),
            Some(owner) => drm.of(owner),
            None => drm::Nodes {
                card: None,
                render: Some(minor),
            },
        },
        None if index == 0 => drm.of(Owner::Pci(board.pci)),
        None => drm::Nodes::default(),
    };
    Gpu {
        uuid: properties.uuid.or(board.uuid),
        compute: Some(ComputeNode {
            node_id: node.node_id,
            gpu_id: node.gpu_id,
            gfx: properties.gfx.clone(),
        }),
        ..gpu(board, index, nodes)
    }
}

fn graphics_gpu(board: &Board, drm: &DrmNodes) -> Gpu {
    gpu(board, 0, drm.of(Owner::Pci(board.pci)))
}

fn gpu(board: &Board, partition: u32, nodes: drm::Nodes) -> Gpu {
    let has_modes = board.compute_mode.is_some() || board.memory_mode.is_some();
    Gpu {
        index: 0,
        pci: board.pci,
        partition: (has_modes || partition != 0).then(|| Partition {
            index: partition,
            compute_mode: board.compute_mode.clone(),
            memory_mode: board.memory_mode.clone(),
        }),
        uuid: board.uuid,
        card: nodes.card.map(drm::card_path),
        render: nodes.render.map(drm::render_path),
        render_minor: nodes.render,
        compute: None,
        name: board.name.clone(),
        memory_bytes: board.memory_bytes,
        numa_node: board.numa_node,
        device_id: board.device_id,
    }
}

#[cfg(test)]
mod tests;
