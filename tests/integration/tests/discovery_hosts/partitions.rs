//! Partitioned boards.

use integration::host::{Board, ComputeMode, Host, MinorLimit, Model, OtherGpu, Uuids, XcpName};

use crate::table::{assert_gpus, inventory};

const BOARD: &str = "0000:05:00.0";

fn cpx() -> Board {
    Board::new(BOARD, Model::MI300X)
        .mode(ComputeMode::Cpx)
        .unique_id(0xE3AA)
}

const EIGHT_PARTITIONS: &str = "
    0 0000:05:00.0 CPX/0 card0 renderD128 0xE3AA node2
    1 0000:05:00.0 CPX/1 card1 renderD129 0xE3AA node3
    2 0000:05:00.0 CPX/2 card2 renderD130 0xE3AA node4
    3 0000:05:00.0 CPX/3 card3 renderD131 0xE3AA node5
    4 0000:05:00.0 CPX/4 card4 renderD132 0xE3AA node6
    5 0000:05:00.0 CPX/5 card5 renderD133 0xE3AA node7
    6 0000:05:00.0 CPX/6 card6 renderD134 0xE3AA node8
    7 0000:05:00.0 CPX/7 card7 renderD135 0xE3AA node9";

#[test]
fn partition_devices_are_found_by_today_s_spelling() {
    let host = Host {
        xcp_name: XcpName::Underscore,
        ..Host::new()
    };
    assert_gpus(&host.board(cpx()), EIGHT_PARTITIONS);
}

#[test]
fn partition_devices_are_found_by_the_older_spelling() {
    let host = Host {
        xcp_name: XcpName::Dot,
        ..Host::new()
    };
    assert_gpus(&host.board(cpx()), EIGHT_PARTITIONS);
}

#[test]
fn the_partition_number_may_be_in_the_highest_bits_of_the_location() {
    let host = Host {
        partition_in_high_bits: true,
        ..Host::new()
    };
    assert_gpus(&host.board(cpx()), EIGHT_PARTITIONS);
}

#[test]
fn in_dpx_mode_two_partitions_have_a_uuid_each_and_six_xcp_devices_are_idle() {
    let board = Board::new(BOARD, Model::MI300X)
        .mode(ComputeMode::Dpx)
        .uuids(Uuids::PerPartition)
        .unique_id(0xE3A0);
    assert_gpus(
        &Host::new().board(board),
        "0 0000:05:00.0 DPX/0 card0 renderD128 0xE3A0 node2
         1 0000:05:00.0 DPX/1 card1 renderD129 0xE3A1 node3",
    );
}

#[test]
fn boards_of_different_modes_stand_side_by_side() {
    let host = Host::new()
        .other(OtherGpu::bmc("0000:02:00.0"))
        .board(Board::new("0000:c6:00.0", Model::MI300X).unique_id(0xC6))
        .board(
            Board::new(BOARD, Model::MI300X)
                .mode(ComputeMode::Qpx)
                .unique_id(5),
        );
    assert_gpus(
        &host,
        "0 0000:05:00.0 QPX/0 card9  renderD136 0x5  node3
         1 0000:05:00.0 QPX/1 card10 renderD137 0x5  node4
         2 0000:05:00.0 QPX/2 card11 renderD138 0x5  node5
         3 0000:05:00.0 QPX/3 card12 renderD139 0x5  node6
         4 0000:c6:00.0 SPX/0 card1  renderD128 0xC6 node2",
    );
}

#[test]
fn a_partition_has_its_share_of_the_memory() {
    let gpus = inventory(&Host::new().board(cpx())).gpus;
    assert!(gpus.iter().all(|gpu| gpu.memory_bytes == Some(24 << 30)));
}

/// Eight boards of eight partitions behind a BMC.
fn sixty_four(minor_limit: MinorLimit) -> Host {
    let host = Host {
        minor_limit,
        ..Host::new()
    }
    .other(OtherGpu::bmc("0000:02:00.0"));
    (0..8).fold(host, |host, number| {
        let board = Board::new(format!("0000:{number}5:00.0"), Model::MI300X);
        host.board(board.mode(ComputeMode::Cpx))
    })
}

#[test]
fn where_drm_has_64_minors_a_bmc_costs_the_last_partition() {
    let gpus = inventory(&sixty_four(MinorLimit::SixtyFour)).gpus;
    assert_eq!(gpus.len(), 63);
    let last = &gpus[62];
    assert_eq!(last.pci.to_string(), "0000:75:00.0");
    assert_eq!(
        last.partition.as_ref().map(|partition| partition.index),
        Some(6)
    );
    assert_eq!(last.render_minor, Some(190));
}

#[test]
fn card_and_render_numbers_need_not_go_together() {
    let gpus = inventory(&sixty_four(MinorLimit::Extended)).gpus;
    assert_eq!(gpus.len(), 64);
    assert_eq!(gpus[63].card, Some("/dev/dri/card192".into()));
    assert_eq!(gpus[63].render, Some("/dev/dri/renderD191".into()));
}

#[test]
fn the_eleventh_partition_device_comes_after_the_third() {
    // amdgpu_xcp_10 sorts before amdgpu_xcp_2 by text, and node 10 before node 2.
    let host = Host::new()
        .board(cpx())
        .board(Board::new("0000:06:00.0", Model::MI300X).mode(ComputeMode::Cpx));
    let renders: Vec<_> = inventory(&host)
        .gpus
        .iter()
        .map(|gpu| gpu.render_minor)
        .collect();
    assert_eq!(renders, (128..144).map(Some).collect::<Vec<_>>());
}
