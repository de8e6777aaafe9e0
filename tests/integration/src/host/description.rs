use super::{Board, OtherGpu};

/// A simulated host.
///
/// ```
/// use integration::host::{Board, ComputeMode, Host, Model, OtherGpu};
///
/// let host = Host::new()
///     .other(OtherGpu::bmc("0000:02:00.0"))
///     .board(Board::new("0000:05:00.0", Model::MI300X).mode(ComputeMode::Cpx));
/// assert_eq!(host.nodes().len(), 1 + 1 + 2 * 8); // kfd, the BMC's card, 8 cards and render nodes
/// ```
#[derive(Clone, Debug)]
pub struct Host {
    /// GPUs in the order in which their drivers found them, which is that of their DRM minors.
    pub gpus: Vec<AnyGpu>,
    /// Whether amdgpu is built into the kernel rather than a module.
    pub built_in: bool,
    /// Whether the kernel has KFD.
    pub kfd: bool,
    /// Boards, by their position among the boards, in the order of their KFD nodes; empty: as found.
    pub kfd_order: Vec<usize>,
    /// CPU nodes in the KFD topology.
    pub cpu_nodes: u32,
    /// Whether KFD is that of a 2018 driver, without `domain` and `gfx_target_version`.
    pub kfd_of_2018: bool,
    /// Whether KFD has the partition number in bits 31:28 of `location_id`.
    pub partition_in_high_bits: bool,
    /// How partition devices are spelled.
    pub xcp_name: XcpName,
    /// How many DRM devices there can be.
    pub minor_limit: MinorLimit,
    /// Major number of `/dev/kfd`.
    pub kfd_major: u32,
    /// Group that owns cards.
    pub video_gid: u32,
    /// Group that owns `/dev/kfd` and render nodes.
    pub render_gid: u32,
    /// Permission bits of `/dev/kfd` and render nodes.
    pub render_mode: u32,
}

/// A GPU of either sort.
#[derive(Clone, Debug)]
pub enum AnyGpu {
    /// Made by AMD.
    Amd(Board),
    /// Made by somebody else.
    Other(OtherGpu),
}

/// The spelling of the platform devices that carry partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XcpName {
    /// `amdgpu_xcp_3`
    Underscore,
    /// `amdgpu_xcp.3`, of older drivers.
    Dot,
}

/// How DRM gives out minors (drm_minor_alloc).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinorLimit {
    /// 64 of a type; there is no device beyond.
    SixtyFour,
    /// 64 of a type, and then all types from 192 on (Linux 6.12).
    Extended,
}

impl Host {
    /// A host without a GPU, with KFD and a kernel of today.
    pub fn new() -> Self {
        Self {
            gpus: Vec::new(),
            built_in: false,
            kfd: true,
            kfd_order: Vec::new(),
            cpu_nodes: 2,
            kfd_of_2018: false,
            partition_in_high_bits: false,
            xcp_name: XcpName::Underscore,
            minor_limit: MinorLimit::Extended,
            kfd_major: 511,
            video_gid: 44,
            render_gid: 109,
            render_mode: 0o660,
        }
    }

    /// Adds an AMD GPU.
    pub fn board(mut self, board: Board) -> Self {
        self.gpus.push(AnyGpu::Amd(board));
        self
    }

    /// Adds a GPU of another vendor.
    pub fn other(mut self, gpu: OtherGpu) -> Self {
        self.gpus.push(AnyGpu::Other(gpu));
        self
    }

    /// Sets the owners of nodes: cards belong to `video`, KFD and render nodes to `render`.
    pub fn gids(mut self, video: u32, render: u32) -> Self {
        self.video_gid = video;
        self.render_gid = render;
        self
    }

    /// The boards in the order in which they were found.
    pub(super) fn boards(&self) -> impl Iterator<Item = &Board> {
        self.gpus.iter().filter_map(|gpu| match gpu {
            AnyGpu::Amd(board) => Some(board),
            AnyGpu::Other(_) => None,
        })
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}
