use super::Model;

/// An AMD GPU in a PCI slot.
#[derive(Clone, Debug)]
pub struct Board {
    /// As the kernel writes it: `0000:05:00.0`.
    pub pci: String,
    /// What it is.
    pub model: Model,
    /// How it is partitioned, if its model can be.
    pub mode: ComputeMode,
    /// Which partitions have a UUID of their own.
    pub uuids: Uuids,
    /// The `unique_id` of the board; by default made from its address.
    pub unique_id: Option<u64>,
    /// Which driver it is bound to.
    pub binding: Binding,
    /// Whether KFD knows it.
    pub compute: bool,
    /// NUMA node, -1 for none.
    pub numa_node: i32,
    /// Its attributes are padded with NULs to a page.
    pub nul_padded: bool,
    /// Its `unique_id` is a file of no bytes.
    pub empty_unique_id: bool,
    /// The partitions whose DRM nodes are not there yet although KFD names them.
    pub without_drm_nodes: Vec<u32>,
}

/// `current_compute_partition`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeMode {
    /// One partition.
    Spx,
    /// Two.
    Dpx,
    /// Three.
    Tpx,
    /// Four.
    Qpx,
    /// One an XCC.
    Cpx,
}

/// What `unique_id` the KFD nodes of a partitioned board have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uuids {
    /// All that of the board (drivers before ROCm 7.0.1).
    Shared,
    /// Each its own.
    PerPartition,
}

/// The driver of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// `amdgpu`
    Amdgpu,
    /// `radeon`, the driver of cards before 2012.
    Radeon,
    /// `vfio-pci`: passed through to a virtual machine.
    VfioPci,
    /// No driver.
    Unbound,
}

impl Board {
    /// A board bound to amdgpu and known to KFD, in SPX mode if it has modes.
    pub fn new(pci: impl Into<String>, model: Model) -> Self {
        Self {
            pci: pci.into(),
            model,
            mode: ComputeMode::Spx,
            uuids: Uuids::Shared,
            unique_id: None,
            binding: Binding::Amdgpu,
            compute: true,
            numa_node: 0,
            nul_padded: false,
            empty_unique_id: false,
            without_drm_nodes: Vec::new(),
        }
    }

    /// Sets the partition mode.
    pub fn mode(mut self, mode: ComputeMode) -> Self {
        self.mode = mode;
        self
    }

    /// Sets which partitions have UUIDs of their own.
    pub fn uuids(mut self, uuids: Uuids) -> Self {
        self.uuids = uuids;
        self
    }

    /// Sets the `unique_id` of the board.
    pub fn unique_id(mut self, unique_id: u64) -> Self {
        self.unique_id = Some(unique_id);
        self
    }

    /// Sets the driver.
    pub fn binding(mut self, binding: Binding) -> Self {
        self.binding = binding;
        self
    }

    /// Leaves the board out of KFD.
    pub fn graphics_only(mut self) -> Self {
        self.compute = false;
        self
    }

    /// Number of active partitions; 1 for a model without modes.
    pub(super) fn partitions(&self) -> u32 {
        match (self.model.xccs, self.mode) {
            (0, _) | (_, ComputeMode::Spx) => 1,
            (_, ComputeMode::Dpx) => 2,
            (_, ComputeMode::Tpx) => 3,
            (_, ComputeMode::Qpx) => 4,
            (xccs, ComputeMode::Cpx) => xccs,
        }
    }

    /// The board's `unique_id`, 0 if its model has none.
    pub(super) fn board_id(&self) -> u64 {
        match self.unique_id {
            Some(id) => id,
            None if self.model.has_unique_id => scramble(self.pci.bytes()),
            None => 0,
        }
    }

    /// KFD's `unique_id` of a partition.
    pub(super) fn partition_id(&self, partition: u32) -> u64 {
        match (self.uuids, self.board_id()) {
            (Uuids::PerPartition, id) if id != 0 => id + u64::from(partition),
            (_, id) => id,
        }
    }
}

impl ComputeMode {
    /// The kernel's name of the mode.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Spx => "SPX",
            Self::Dpx => "DPX",
            Self::Tpx => "TPX",
            Self::Qpx => "QPX",
            Self::Cpx => "CPX",
        }
    }
}

/// A number that looks like none in particular (FNV-1a).
fn scramble(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
