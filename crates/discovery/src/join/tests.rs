use std::path::Path;

use super::*;
use crate::drm::NodeName;

fn pci(text: &str) -> PciAddress {
    text.parse().unwrap()
}

fn board(address: &str) -> Board {
    Board::at(pci(address))
}

fn partitioned(address: &str) -> Board {
    Board {
        compute_mode: Some("CPX".into()),
        ..board(address)
    }
}

fn node(node_id: u32, location_id: u32, render_minor: u32) -> KfdNode {
    KfdNode {
        node_id,
        gpu_id: Some(1000 + node_id),
        properties: NodeProperties {
            location_id,
            render_minor: (render_minor != 0).then_some(render_minor),
            ..NodeProperties::default()
        },
    }
}

fn kfd(nodes: impl Into<Vec<KfdNode>>) -> KfdTopology {
    KfdTopology {
        nodes: nodes.into(),
        denied: 0,
    }
}

/// DRM devices: the device's directory, card number, render minor.
fn drm(devices: &[(&str, u32, u32)]) -> DrmNodes {
    let mut nodes = DrmNodes::default();
    for (device, card, render) in devices {
        let target = |name: String| format!("../../devices/{device}/drm/{name}");
        nodes.insert(
            NodeName::Card(*card),
            Path::new(&target(format!("card{card}"))),
        );
        nodes.insert(
            NodeName::Render(*render),
            Path::new(&target(format!("renderD{render}"))),
        );
    }
    nodes
}

/// What tells GPUs apart: address, partition, number in the card's name, render minor, KFD node.
type Row<'a> = (&'a str, Option<u32>, Option<u32>, Option<u32>, Option<u32>);

#[track_caller]
fn assert_gpus(gpus: &[Gpu], expected: &[Row<'_>]) {
    let texts: Vec<String> = gpus.iter().map(|gpu| gpu.pci.to_string()).collect();
    let rows: Vec<Row<'_>> = gpus
        .iter()
        .zip(&texts)
        .map(|(gpu, pci)| {
            let card = gpu.card.as_ref().and_then(|path| path.to_str());
            (
                pci.as_str(),
                gpu.partition.as_ref().map(|partition| partition.index),
                card.map(|path| path.trim_start_matches("/dev/dri/card").parse().unwrap()),
                gpu.render_minor,
                gpu.compute.as_ref().map(|node| node.node_id),
            )
        })
        .collect();
    assert_eq!(rows, expected);
    assert!(
        gpus.iter()
            .enumerate()
            .all(|(position, gpu)| gpu.index == position)
    );
}

#[test]
fn order_is_by_number_whatever_the_order_of_kfd_and_directories() {
    let boards = [
        board("10000:01:00.0"),
        board("ffff:02:00.0"),
        board("0000:0a:00.0"),
    ];
    let mut nodes = [
        node(1, 0x0a00, 130),
        node(2, 0x0200, 129),
        node(10, 0x0100, 128),
    ];
    nodes[1].properties.domain = 0xffff;
    nodes[2].properties.domain = 0x1_0000;
    let drm = drm(&[
        ("10000:01:00.0", 0, 128),
        ("ffff:02:00.0", 1, 129),
        ("0000:0a:00.0", 2, 130),
    ]);
    assert_gpus(
        &join(&boards, &kfd(nodes), &drm),
        &[
            ("0000:0a:00.0", None, Some(2), Some(130), Some(1)),
            ("ffff:02:00.0", None, Some(1), Some(129), Some(2)),
            ("10000:01:00.0", None, Some(0), Some(128), Some(10)),
        ],
    );
}

#[test]
fn partitions_belong_to_the_board_at_their_bus_and_device() {
    let boards = [partitioned("0000:05:00.0"), partitioned("0000:06:00.0")];
    let nodes = [
        node(2, 0x0500, 128),
        node(3, 0x0501, 129),
        node(4, 0x0600, 136),
        node(5, 0x0607, 143),
    ];
    let drm = drm(&[
        ("pci0000:04/0000:05:00.0", 0, 128),
        ("platform/amdgpu_xcp_0", 1, 129),
        ("pci0000:04/0000:06:00.0", 8, 136),
        ("platform/amdgpu_xcp.13", 15, 143),
    ]);
    assert_gpus(
        &join(&boards, &kfd(nodes), &drm),
        &[
            ("0000:05:00.0", Some(0), Some(0), Some(128), Some(2)),
            ("0000:05:00.0", Some(1), Some(1), Some(129), Some(3)),
            ("0000:06:00.0", Some(0), Some(8), Some(136), Some(4)),
            ("0000:06:00.0", Some(7), Some(15), Some(143), Some(5)),
        ],
    );
}

#[test]
fn idle_xcp_devices_are_not_gpus() {
    let drm = drm(&[("0000:05:00.0", 0, 128), ("platform/amdgpu_xcp_0", 1, 129)]);
    assert_gpus(
        &join(
            &[partitioned("0000:05:00.0")],
            &kfd([node(2, 0x0500, 128)]),
            &drm,
        ),
        &[("0000:05:00.0", Some(0), Some(0), Some(128), Some(2))],
    );
}

#[test]
fn a_board_without_a_kfd_node_is_graphics_only() {
    let drm = drm(&[("0000:05:00.0", 1, 128)]);
    let gpus = join(&[board("0000:05:00.0")], &kfd([]), &drm);
    assert_gpus(&gpus, &[("0000:05:00.0", None, Some(1), Some(128), None)]);
    assert!(gpus[0].graphics_only());
}

#[test]
fn where_kfd_hides_nodes_boards_without_one_are_not_listed() {
    let drm = drm(&[("0000:05:00.0", 1, 128), ("0000:06:00.0", 2, 129)]);
    let topology = KfdTopology {
        nodes: vec![node(2, 0x0500, 128)],
        denied: 1,
    };
    assert_gpus(
        &join(
            &[board("0000:05:00.0"), board("0000:06:00.0")],
            &topology,
            &drm,
        ),
        &[("0000:05:00.0", None, Some(1), Some(128), Some(2))],
    );
}

#[test]
fn a_gpu_whose_drm_node_is_not_there_yet_keeps_its_place() {
    let boards = [partitioned("0000:05:00.0"), board("0000:06:00.0")];
    let nodes = [
        node(2, 0x0500, 128),
        node(3, 0x0501, 129),
        node(4, 0x0600, 130),
    ];
    let drm = drm(&[("0000:05:00.0", 0, 128), ("0000:06:00.0", 2, 130)]);
    let gpus = join(&boards, &kfd(nodes), &drm);
    assert_gpus(
        &gpus,
        &[
            ("0000:05:00.0", Some(0), Some(0), Some(128), Some(2)),
            ("0000:05:00.0", Some(1), None, Some(129), Some(3)),
            ("0000:06:00.0", None, Some(2), Some(130), Some(4)),
        ],
    );
    assert_eq!(
        gpus[1].render.as_deref(),
        Some(Path::new("/dev/dri/renderD129"))
    );
}

#[test]
fn a_node_without_a_render_minor_is_joined_by_its_location() {
    let drm = drm(&[("0000:05:00.0", 1, 128)]);
    assert_gpus(
        &join(&[board("0000:05:00.0")], &kfd([node(1, 0x0500, 0)]), &drm),
        &[("0000:05:00.0", None, Some(1), Some(128), Some(1))],
    );
}

#[test]
fn a_render_minor_that_another_vendor_took_over_is_not_handed_out() {
    let drm = drm(&[("0000:01:00.0", 0, 128)]);
    assert_gpus(
        &join(&[board("0000:05:00.0")], &kfd([node(1, 0x0500, 128)]), &drm),
        &[("0000:05:00.0", None, None, None, Some(1))],
    );
}

#[test]
fn a_node_of_no_board_is_no_gpu() {
    let boards = [board("0000:05:00.0")];
    let drm = drm(&[("0000:05:00.0", 1, 128)]);
    assert_gpus(
        &join(
            &boards,
            &kfd([node(1, 0x0500, 128), node(2, 0x0700, 0)]),
            &drm,
        ),
        &[("0000:05:00.0", None, Some(1), Some(128), Some(1))],
    );
}

#[test]
fn functions_of_one_device_are_boards_of_their_own_where_they_have_no_partitions() {
    let boards = [board("0000:05:00.0"), board("0000:05:00.1")];
    assert_gpus(
        &join(
            &boards,
            &kfd([node(1, 0x0501, 0), node(2, 0x0500, 0)]),
            &drm(&[]),
        ),
        &[
            ("0000:05:00.0", None, None, None, Some(2)),
            ("0000:05:00.1", None, None, None, Some(1)),
        ],
    );
}

#[test]
fn a_partition_without_a_uuid_has_its_boards() {
    let boards = [Board {
        uuid: Some(Uuid(7)),
        ..partitioned("0000:05:00.0")
    }];
    let mut nodes = [node(2, 0x0500, 128), node(3, 0x0501, 129)];
    nodes[1].properties.uuid = Some(Uuid(8));
    let gpus = join(&boards, &kfd(nodes), &drm(&[]));
    assert_eq!(
        gpus.iter().map(|gpu| gpu.uuid).collect::<Vec<_>>(),
        [Some(Uuid(7)), Some(Uuid(8))]
    );
}
