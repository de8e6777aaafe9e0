//! Whole boards: order, names, and what is no GPU of ours.

use integration::host::{Binding, Board, Host, Model, OtherGpu};

use crate::table::{assert_gpus, inventory};

#[test]
fn eight_boards_in_spx_mode_beside_a_bmc() {
    let host = [0x05, 0x26, 0x46, 0x65, 0x85, 0xa6, 0xc6, 0xe5]
        .iter()
        .fold(
            Host::new().other(OtherGpu::bmc("0000:02:00.0")),
            |host, bus| {
                let board = Board::new(format!("0000:{bus:02x}:00.0"), Model::MI300X);
                host.board(board.unique_id(0xA0_0000 + bus))
            },
        );
    assert_gpus(
        &host,
        "0 0000:05:00.0 SPX/0 card1  renderD128 0xA00005 node2
         1 0000:26:00.0 SPX/0 card9  renderD136 0xA00026 node3
         2 0000:46:00.0 SPX/0 card17 renderD144 0xA00046 node4
         3 0000:65:00.0 SPX/0 card25 renderD152 0xA00065 node5
         4 0000:85:00.0 SPX/0 card33 renderD160 0xA00085 node6
         5 0000:a6:00.0 SPX/0 card41 renderD168 0xA000A6 node7
         6 0000:c6:00.0 SPX/0 card49 renderD176 0xA000C6 node8
         7 0000:e5:00.0 SPX/0 card57 renderD184 0xA000E5 node9",
    );
}

#[test]
fn order_is_that_of_pci_addresses_not_that_of_kfd_or_drm() {
    let host = Host::new()
        .board(Board::new("0000:41:00.0", Model::MI210).unique_id(1))
        .board(Board::new("0000:21:00.0", Model::MI210).unique_id(2))
        .board(Board::new("0000:01:00.0", Model::MI210).unique_id(3));
    assert_gpus(
        &host,
        "0 0000:01:00.0 - card2 renderD130 0x3 node4
         1 0000:21:00.0 - card1 renderD129 0x2 node3
         2 0000:41:00.0 - card0 renderD128 0x1 node2",
    );
}

#[test]
fn domains_sort_by_number_and_may_have_five_digits() {
    let host = Host::new()
        .board(Board::new("10000:01:00.0", Model::MI210).unique_id(1))
        .board(Board::new("0001:05:00.0", Model::MI210).unique_id(2))
        .board(Board::new("ffff:c1:00.0", Model::MI210).unique_id(3))
        .board(Board::new("0000:c1:00.0", Model::MI210).unique_id(4));
    assert_gpus(
        &host,
        "0 0000:c1:00.0  - card3 renderD131 0x4 node5
         1 0001:05:00.0  - card1 renderD129 0x2 node3
         2 ffff:c1:00.0  - card2 renderD130 0x3 node4
         3 10000:01:00.0 - card0 renderD128 0x1 node2",
    );
}

#[test]
fn an_apu_has_no_uuid_and_no_name() {
    let board = Board {
        numa_node: -1,
        ..Board::new("0000:c1:00.0", Model::STRIX_HALO)
    };
    let host = Host {
        cpu_nodes: 1,
        ..Host::new()
    }
    .board(board);
    assert_gpus(&host, "0 0000:c1:00.0 - card0 renderD128 - node1");
    let gpu = inventory(&host).gpus.remove(0);
    assert_eq!((gpu.name, gpu.numa_node), (None, None));
    assert_eq!(
        gpu.compute.and_then(|node| node.gfx).as_deref(),
        Some("gfx1151")
    );
}

#[test]
fn gpus_of_other_vendors_are_left_out() {
    let host = Host {
        kfd_order: vec![1, 0],
        ..Host::new()
    }
    .other(OtherGpu::intel("0000:00:02.0"))
    .board(Board::new("0000:c4:00.0", Model::STRIX_HALO))
    .other(OtherGpu::nvidia("0000:01:00.0"))
    .board(Board::new("0000:03:00.0", Model::RX7900XTX).unique_id(0xF00D));
    assert_gpus(
        &host,
        "0 0000:03:00.0 - card3 renderD131 0xF00D node2
         1 0000:c4:00.0 - card1 renderD129 -      node3",
    );
}

#[test]
fn without_kfd_gpus_are_graphics_only() {
    let host = Host {
        kfd: false,
        ..Host::new()
    }
    .board(Board::new("0000:03:00.0", Model::RX7900XTX).unique_id(0xF00D));
    assert_gpus(&host, "0 0000:03:00.0 - card0 renderD128 0xF00D graphics");
}

#[test]
fn a_gpu_that_kfd_does_not_know_is_graphics_only() {
    let host = Host::new()
        .board(
            Board::new("0000:03:00.0", Model::RX7900XTX)
                .unique_id(1)
                .graphics_only(),
        )
        .board(Board::new("0000:0a:00.0", Model::MI210).unique_id(2));
    assert_gpus(
        &host,
        "0 0000:03:00.0 - card0 renderD128 0x1 graphics
         1 0000:0a:00.0 - card1 renderD129 0x2 node2",
    );
}

#[test]
fn a_built_in_driver_is_as_good_as_a_module() {
    let host = Host {
        built_in: true,
        ..Host::new()
    }
    .board(Board::new("0000:03:00.0", Model::MI210).unique_id(1));
    assert_gpus(&host, "0 0000:03:00.0 - card0 renderD128 0x1 node2");
}

#[test]
fn only_gpus_bound_to_amdgpu_count() {
    let host = Host::new()
        .board(Board::new("0000:01:00.0", Model::HD7870).binding(Binding::Radeon))
        .board(Board::new("0000:03:00.0", Model::MI210).binding(Binding::VfioPci))
        .board(Board::new("0000:04:00.0", Model::MI210).binding(Binding::Unbound))
        .board(Board::new("0000:05:00.0", Model::MI210).unique_id(1));
    assert_gpus(&host, "0 0000:05:00.0 - card1 renderD129 0x1 node2");
}

#[test]
fn a_host_without_an_amd_gpu_has_none() {
    let bmc = || OtherGpu::bmc("0000:02:00.0");
    assert_gpus(
        &Host {
            kfd: false,
            ..Host::new()
        }
        .other(bmc()),
        "",
    );
    assert_gpus(&Host::new().other(bmc()), "");
    assert_gpus(&Host::preset("vfio").unwrap(), "");
}

#[test]
fn two_hundred_gpus() {
    // Found from the highest bus to the lowest. DRM gives 64 minors of each type, and then pairs
    // from 192 on, the render node's first.
    let host = (1..=200).rev().fold(Host::new(), |host, bus: u8| {
        let board = Board::new(format!("0000:{bus:02x}:00.0"), Model::MI210);
        host.board(board.unique_id(bus.into()))
    });
    let expected: Vec<String> = (0..200)
        .map(|index| {
            let found = 199 - index;
            let (card, render) = match found {
                0..64 => (found, 128 + found),
                _ => (193 + 2 * (found - 64), 192 + 2 * (found - 64)),
            };
            let (bus, node) = (index + 1, 2 + found);
            format!("{index} 0000:{bus:02x}:00.0 - card{card} renderD{render} 0x{bus:X} node{node}")
        })
        .collect();
    assert_gpus(&host, &expected.join("\n"));
}

#[test]
fn what_a_board_says_of_itself() {
    let board = Board {
        numa_node: 1,
        ..Board::new("0000:05:00.0", Model::MI300X)
    };
    let gpu = inventory(&Host::new().board(board)).gpus.remove(0);
    assert_eq!(gpu.name.as_deref(), Some("AMD Instinct MI300X OAM"));
    assert_eq!(gpu.device_id, Some(0x74a1));
    assert_eq!(gpu.memory_bytes, Some(192 << 30));
    assert_eq!(gpu.numa_node, Some(1));
    assert_eq!(gpu.cdi_name(), "amd.com/gpu=0");
    let node = gpu.compute.unwrap();
    assert_eq!((node.node_id, node.gfx.as_deref()), (2, Some("gfx942")));
    let partition = gpu.partition.unwrap();
    assert_eq!(partition.memory_mode.as_deref(), Some("NPS1"));
}
