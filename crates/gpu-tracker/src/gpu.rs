//! GPUs by names that outlive a renumbering.

use std::fmt;

use discovery::{Gpu, PciAddress, Uuid};
use serde::{Deserialize, Serialize};

/// A GPU as it was granted to a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GrantedGpu {
    /// Its CDI name at the time, as in `amd.com/gpu=0`.
    pub name: String,
    /// Where its board is on the PCI bus.
    pub pci: PciAddress,
    /// Which partition of the board, where the board has partitions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// The compute partition mode of the board at the time, such as `SPX`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Its UUID, where it has one, as in `0xE3AA140F9A5F9E31`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<Uuid>,
}

impl From<&Gpu> for GrantedGpu {
    fn from(gpu: &Gpu) -> Self {
        Self {
            name: gpu.cdi_name(),
            pci: gpu.pci,
            partition: gpu.partition.as_ref().map(|p| p.index),
            mode: gpu.partition.as_ref().and_then(|p| p.compute_mode.clone()),
            uuid: gpu.uuid,
        }
    }
}

impl GrantedGpu {
    /// What a container can open by this grant, whatever the mode of the board is by now.
    pub fn slot(&self) -> Slot {
        Slot {
            pci: self.pci,
            partition: self.partition.unwrap_or(0),
        }
    }

    /// Its index at the time, as text: `0` of `amd.com/gpu=0`.
    pub fn index(&self) -> &str {
        self.name.split_once('=').map_or("?", |(_, index)| index)
    }
}

/// As `GPU 0 (0xE3AA140F9A5F9E31)`; by the PCI address where there is no UUID.
impl fmt::Display for GrantedGpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GPU {} (", self.index())?;
        match self.uuid {
            Some(uuid) => write!(f, "{uuid})"),
            None => write!(f, "{})", self.pci),
        }
    }
}

/// The device nodes of a board that belong together: the board's own, which in partition modes
/// are those of its first partition, or those of a further partition.
///
/// They keep their numbers over a change of the mode, and a container its right to open them: in
/// any mode, two GPUs of one slot are the same to whoever holds one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot {
    /// The board.
    pub pci: PciAddress,
    /// The partition, from 0.
    pub partition: u32,
}
