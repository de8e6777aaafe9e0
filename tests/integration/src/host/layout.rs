//! Which numbers the kernel gives to the devices of a host: DRM minors, partition devices, KFD nodes.

use super::{AnyGpu, Binding, Board, Host, MinorLimit, XcpName};

/// DRM nodes of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DrmDevice {
    /// The device's directory below `/sys`, such as `devices/platform/amdgpu_xcp_0`.
    pub directory: String,
    pub card: u32,
    pub render: Option<u32>,
}

/// One GPU node of the KFD topology.
#[derive(Clone, Debug)]
pub(super) struct KfdGpu<'a> {
    pub board: &'a Board,
    pub partition: u32,
    pub render: u32,
}

#[derive(Debug)]
pub(super) struct Layout<'a> {
    /// Devices whose DRM nodes are there.
    pub drm: Vec<DrmDevice>,
    /// Every partition device, by its directory below `/sys`, idle ones too.
    pub xcps: Vec<String>,
    /// GPU nodes in order.
    pub kfd: Vec<KfdGpu<'a>>,
}

impl Host {
    pub(super) fn layout(&self) -> Layout<'_> {
        let mut minors = Minors {
            limit: self.minor_limit,
            card: 0,
            render: 128,
            extended: 192,
        };
        let mut layout = Layout {
            drm: Vec::new(),
            xcps: Vec::new(),
            kfd: Vec::new(),
        };
        let mut kfd_by_board = Vec::new();
        for gpu in &self.gpus {
            match gpu {
                AnyGpu::Other(other) => {
                    let directory = pci_directory(&other.pci);
                    layout
                        .drm
                        .extend(minors.device(directory, other.has_render));
                }
                AnyGpu::Amd(board) => {
                    kfd_by_board.push(self.add_board(board, &mut minors, &mut layout));
                }
            }
        }
        if self.kfd {
            let order = if self.kfd_order.is_empty() {
                (0..kfd_by_board.len()).collect()
            } else {
                self.kfd_order.clone()
            };
            layout.kfd = order
                .into_iter()
                .flat_map(|board| kfd_by_board[board].clone())
                .collect();
        }
        layout
    }

    /// Adds the board's DRM and partition devices to `layout`; returns its KFD nodes.
    fn add_board<'a>(
        &self,
        board: &'a Board,
        minors: &mut Minors,
        layout: &mut Layout<'a>,
    ) -> Vec<KfdGpu<'a>> {
        if !matches!(board.binding, Binding::Amdgpu | Binding::Radeon) {
            return Vec::new();
        }
        let further = board.model.xccs.saturating_sub(1);
        let first_xcp = layout.xcps.len();
        let xcps = (first_xcp..)
            .take(further as usize)
            .map(|number| match self.xcp_name {
                XcpName::Underscore => format!("devices/platform/amdgpu_xcp_{number}"),
                XcpName::Dot => format!("devices/platform/amdgpu_xcp.{number}"),
            });
        layout.xcps.extend(xcps);
        let directories: Vec<String> = std::iter::once(pci_directory(&board.pci))
            .chain(layout.xcps[first_xcp..].iter().cloned())
            .collect();
        let mut kfd = Vec::new();
        for (partition, directory) in (0..).zip(directories) {
            let Some(device) = minors.device(directory, true) else {
                continue;
            };
            if let Some(render) = device.render
                && board.compute
                && board.binding == Binding::Amdgpu
                && partition < board.partitions()
            {
                kfd.push(KfdGpu {
                    board,
                    partition,
                    render,
                });
            }
            if !board.without_drm_nodes.contains(&partition) {
                layout.drm.push(device);
            }
        }
        kfd
    }
}

/// The directory of a PCI device below `/sys`, behind a root port of its own; devices of bus 0 are
/// behind none.
pub(super) fn pci_directory(address: &str) -> String {
    let mut parts = address.split(':');
    let (domain, bus) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    match u8::from_str_radix(bus, 16) {
        Ok(bus @ 1..) => {
            let root = bus - 1;
            format!("devices/pci{domain}:{root:02x}/{domain}:{root:02x}:01.1/{address}")
        }
        _ => format!("devices/pci{domain}:00/{address}"),
    }
}

/// The next free minors.
struct Minors {
    limit: MinorLimit,
    card: u32,
    render: u32,
    extended: u32,
}

impl Minors {
    /// Minors for one device, `None` when there are no more. DRM takes the render minor first.
    fn device(&mut self, directory: String, has_render: bool) -> Option<DrmDevice> {
        let render = match has_render {
            true => Some(self.next(|minors| &mut minors.render, 192)?),
            false => None,
        };
        let card = self.next(|minors| &mut minors.card, 64)?;
        Some(DrmDevice {
            directory,
            card,
            render,
        })
    }

    fn next(&mut self, counter: fn(&mut Self) -> &mut u32, end: u32) -> Option<u32> {
        let counter = if *counter(self) < end {
            counter(self)
        } else if self.limit == MinorLimit::Extended {
            &mut self.extended
        } else {
            return None;
        };
        *counter += 1;
        Some(*counter - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ComputeMode, Model, OtherGpu};
    use super::*;

    fn cpx(limit: MinorLimit) -> Host {
        let host = Host {
            minor_limit: limit,
            ..Host::new()
        }
        .other(OtherGpu::bmc("0000:02:00.0"));
        (0..8).fold(host, |host, n| {
            let board = Board::new(format!("0000:{:02x}:00.0", 0x10 * n + 5), Model::MI300X);
            host.board(board.mode(ComputeMode::Cpx))
        })
    }

    #[test]
    fn a_bmc_takes_the_last_partitions_minor() {
        let host = cpx(MinorLimit::SixtyFour);
        let layout = host.layout();
        assert_eq!(layout.kfd.len(), 63);
        assert!(
            layout.drm[1..]
                .iter()
                .all(|device| device.render == Some(device.card + 127))
        );
    }

    #[test]
    fn newer_kernels_go_on_at_minor_192() {
        let host = cpx(MinorLimit::Extended);
        let layout = host.layout();
        assert_eq!(layout.kfd.len(), 64);
        let last = layout.drm.last().unwrap();
        assert_eq!((last.card, last.render), (192, Some(191)));
    }
}
