//! Hosts by name.

use super::{Binding, Board, ComputeMode, Host, Model, OtherGpu, Uuids};

/// The names that [`Host::preset`] knows.
pub const PRESETS: [&str; 9] = [
    "mi300x-8",
    "mi300x-8-cpx",
    "mi300x-1-dpx",
    "mi210-8",
    "apu",
    "mixed",
    "radeon",
    "vfio",
    "none",
];

/// PCI buses of the eight accelerators of a server, ascending.
const BUSES: [u8; 8] = [0x05, 0x26, 0x46, 0x65, 0x85, 0xa6, 0xc6, 0xe5];

impl Host {
    /// The host called `name`, one of [`PRESETS`].
    pub fn preset(name: &str) -> Option<Self> {
        let host = Self::new();
        Some(match name {
            // Eight boards in SPX mode: card1, card9, .. and renderD128, renderD136, ..
            "mi300x-8" => mi300x(host.other(OtherGpu::bmc("0000:02:00.0")), ComputeMode::Spx),
            // Eight boards of eight partitions: card0 to card63, renderD128 to renderD191.
            "mi300x-8-cpx" => mi300x(host, ComputeMode::Cpx),
            // Two partitions with a UUID each.
            "mi300x-1-dpx" => host.board(
                Board::new("0000:05:00.0", Model::MI300X)
                    .mode(ComputeMode::Dpx)
                    .uuids(Uuids::PerPartition),
            ),
            // Drivers found them in an order that is not that of their addresses.
            "mi210-8" => [0x41, 0x21, 0x01, 0x61, 0xa1, 0x81, 0xe1, 0xc1]
                .iter()
                .fold(host, |host, bus| {
                    host.board(Board::new(slot(*bus), Model::MI210))
                }),
            "apu" => host.board(Board {
                numa_node: -1,
                ..Board::new(slot(0xc1), Model::STRIX_HALO)
            }),
            // A processor's graphics found first, an NVIDIA card, and an AMD card.
            "mixed" => host
                .board(Board::new("0000:c4:00.0", Model::STRIX_HALO))
                .other(OtherGpu::nvidia("0000:01:00.0"))
                .board(Board::new("0000:03:00.0", Model::RX7900XTX)),
            // No GPU that amdgpu drives, one that its predecessor does.
            "radeon" => Self { kfd: false, ..host }
                .board(Board::new(slot(0x01), Model::HD7870).binding(Binding::Radeon)),
            // All GPUs belong to virtual machines.
            "vfio" => host.board(Board::new(slot(0x03), Model::MI210).binding(Binding::VfioPci)),
            "none" => Self { kfd: false, ..host }.other(OtherGpu::bmc("0000:02:00.0")),
            _ => return None,
        })
    }
}

fn mi300x(host: Host, mode: ComputeMode) -> Host {
    BUSES.iter().enumerate().fold(host, |host, (number, bus)| {
        let numa_node = i32::from(number >= BUSES.len() / 2);
        host.board(Board {
            numa_node,
            ..Board::new(slot(*bus), Model::MI300X).mode(mode)
        })
    })
}

fn slot(bus: u8) -> String {
    format!("0000:{bus:02x}:00.0")
}
