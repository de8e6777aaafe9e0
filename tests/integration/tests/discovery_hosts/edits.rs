//! What GPUs are to a container, on hosts with real device nodes.

#![allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]

use std::fs;

use discovery::edits::{ContainerEdits, DeviceNode, EditsError, container_edits};
use integration::host::{Board, ComputeMode, Host, Model};
use integration::require;

use crate::table::Written;

/// The host with its `/dev`, where the tests may make one.
#[track_caller]
fn with_nodes(host: &Host) -> Option<Written> {
    require::root().then(|| {
        let written = Written::new(host);
        host.make_nodes(&written.path().join("dev")).unwrap();
        written
    })
}

#[track_caller]
fn edits(written: &Written, gpus: &[usize]) -> ContainerEdits {
    let inventory = written.inventory();
    let chosen = gpus.iter().map(|&index| &inventory.gpus[index]);
    container_edits(&written.root(), chosen).unwrap()
}

fn node(path: &str, major: u32, minor: u32, gid: u32) -> DeviceNode {
    DeviceNode {
        path: path.into(),
        major,
        minor,
        mode: 0o660,
        uid: 0,
        gid,
    }
}

#[test]
fn kfd_comes_once_and_then_card_and_render_node_of_each_gpu() {
    let host = Host {
        kfd_major: 235,
        ..Host::new()
    }
    .gids(39, 992)
    .board(Board::new("0000:05:00.0", Model::MI300X).mode(ComputeMode::Dpx));
    let Some(written) = with_nodes(&host) else {
        return;
    };
    let edits = edits(&written, &[0, 1]);
    assert_eq!(
        edits.device_nodes,
        [
            node("/dev/kfd", 235, 0, 992),
            node("/dev/dri/card0", 226, 0, 39),
            node("/dev/dri/renderD128", 226, 128, 992),
            node("/dev/dri/card1", 226, 1, 39),
            node("/dev/dri/renderD129", 226, 129, 992),
        ]
    );
    assert_eq!(edits.additional_gids, [39, 992]);
}

#[test]
fn a_gpu_for_graphics_only_does_not_get_kfd() {
    let host = Host::new()
        .board(Board::new("0000:03:00.0", Model::RX7900XTX).graphics_only())
        .board(Board::new("0000:05:00.0", Model::MI210));
    let Some(written) = with_nodes(&host) else {
        return;
    };
    assert_eq!(
        edits(&written, &[0]).device_nodes,
        [
            node("/dev/dri/card0", 226, 0, 44),
            node("/dev/dri/renderD128", 226, 128, 109)
        ]
    );
    assert_eq!(edits(&written, &[0, 1]).device_nodes.len(), 5);
}

#[test]
fn nodes_of_group_0_add_no_group() {
    let host = Host::new()
        .gids(0, 0)
        .board(Board::new("0000:03:00.0", Model::MI210));
    let Some(written) = with_nodes(&host) else {
        return;
    };
    assert!(edits(&written, &[0]).additional_gids.is_empty());
}

#[test]
fn minors_above_255_are_read_whole() {
    let host = (0..110).fold(Host::new(), |host, bus| {
        host.board(Board::new(
            format!("0000:{:02x}:00.0", bus + 1),
            Model::MI210,
        ))
    });
    let Some(written) = with_nodes(&host) else {
        return;
    };
    let last = edits(&written, &[109]).device_nodes.pop();
    assert_eq!(last, Some(node("/dev/dri/renderD282", 226, 282, 109)));
}

#[test]
fn a_missing_kfd_node_is_an_error_that_names_it() {
    let host = Host::new().board(Board::new("0000:03:00.0", Model::MI210));
    let Some(written) = with_nodes(&host) else {
        return;
    };
    fs::remove_file(written.path().join("dev/kfd")).unwrap();
    let inventory = written.inventory();
    let error = container_edits(&written.root(), &inventory.gpus).unwrap_err();
    assert_names(&error, &written, "dev/kfd");
}

#[test]
fn a_partition_whose_drm_node_is_not_there_yet_cannot_be_given() {
    let board = Board::new("0000:05:00.0", Model::MI300X).mode(ComputeMode::Dpx);
    let host = Host::new().board(Board {
        without_drm_nodes: vec![1],
        ..board
    });
    let Some(written) = with_nodes(&host) else {
        return;
    };
    assert_eq!(edits(&written, &[0]).device_nodes.len(), 3);
    let inventory = written.inventory();
    let error = container_edits(&written.root(), [&inventory.gpus[1]]).unwrap_err();
    assert_names(&error, &written, "dev/dri/renderD129");
}

#[track_caller]
fn assert_names(error: &EditsError, written: &Written, path: &str) {
    let path = written.path().join(path);
    assert!(
        error.to_string().contains(path.to_str().unwrap()),
        "{error}"
    );
    assert!(error.hint().is_some(), "{error}");
}
