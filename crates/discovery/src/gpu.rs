use std::path::PathBuf;

use crate::{Partition, PciAddress, Uuid};

/// The kind of our CDI devices: vendor `amd.com`, class `gpu` (CDI specification, "Kind").
pub const CDI_KIND: &str = "amd.com/gpu";

/// One GPU as users count them: a whole board, or one partition of a partitioned board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// Its number in [`Inventory::gpus`](crate::Inventory::gpus).
    pub index: usize,
    /// The board's PCI address. Partitions of a board share it.
    pub pci: PciAddress,
    /// Which partition of its board it is; `None` where the board knows no partition modes.
    pub partition: Option<Partition>,
    /// Its own UUID, or its board's: older drivers give all partitions of a board the same one.
    /// `None` for most APUs and many consumer cards.
    pub uuid: Option<Uuid>,
    /// The DRM primary node on the host, such as `/dev/dri/card1`.
    pub card: Option<PathBuf>,
    /// The DRM render node on the host, such as `/dev/dri/renderD128`. Right after a hotplug or a
    /// partition switch KFD may name it before it exists.
    pub render: Option<PathBuf>,
    /// The number in `render`'s name.
    pub render_minor: Option<u32>,
    /// Its node in the KFD topology; `None` for a GPU that can do graphics only.
    pub compute: Option<ComputeNode>,
    /// `product_name` of the board; most consumer cards have none.
    pub name: Option<String>,
    /// Size of its memory in bytes: the board's VRAM, or a partition's share as KFD reports it.
    pub memory_bytes: Option<u64>,
    /// The NUMA node that the board is attached to.
    pub numa_node: Option<u32>,
    /// The board's PCI device id, such as 0x74a1 for an MI300X.
    pub device_id: Option<u16>,
}

/// A GPU's node in the KFD topology (`/sys/class/kfd/kfd/topology/nodes/N`), which ROCm sees it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComputeNode {
    /// The number of the node, in which ROCr counts GPUs and CPUs together.
    pub node_id: u32,
    /// The id that the driver made up for the GPU, not 0. It changes with the board's partitions. `None`
    /// where [`identify`](crate::Inventory::identify) had no need to read it.
    pub gpu_id: Option<u32>,
    /// The instruction set, such as `gfx942`; 2018 drivers do not tell.
    pub gfx: Option<String>,
}

impl Gpu {
    /// Whether ROCm cannot use this GPU: the driver gave it no KFD node.
    pub fn graphics_only(&self) -> bool {
        self.compute.is_none()
    }

    /// The minors of its DRM nodes, primary and render. The kernel numbers nodes as it names them.
    pub fn drm_minors(&self) -> impl Iterator<Item = u32> {
        let of_card = self.card.as_ref().and_then(|card| {
            let name = card.file_name()?.to_str()?;
            name.strip_prefix("card")?.parse().ok()
        });
        [self.render_minor, of_card].into_iter().flatten()
    }

    /// Its qualified CDI device name, such as `amd.com/gpu=0`.
    pub fn cdi_name(&self) -> String {
        format!("{CDI_KIND}={}", self.index)
    }
}
