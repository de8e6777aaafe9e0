use std::fs;

use super::*;
use crate::ComputeNode;
use crate::join::{Board, KfdTopology, join};

/// A GPU for graphics only, whose nodes are these.
fn gpu(card: Option<&str>, render: Option<&str>) -> Gpu {
    let boards = [Board::at("0000:05:00.0".parse().unwrap())];
    let gpu = join(&boards, &KfdTopology::default(), &Default::default()).remove(0);
    Gpu {
        card: card.map(Into::into),
        render: render.map(Into::into),
        ..gpu
    }
}

fn computing(gpu: Gpu) -> Gpu {
    Gpu {
        compute: Some(ComputeNode {
            node_id: 1,
            gpu_id: Some(2),
            gfx: None,
        }),
        ..gpu
    }
}

#[test]
fn numbers_mode_and_owner_are_the_nodes_own() {
    let gpu = gpu(Some("/dev/null"), Some("/dev/zero"));
    let edits = container_edits(&HostRoot::system(), [&gpu]).unwrap();
    let node = |path: &str, minor| DeviceNode {
        path: path.into(),
        major: 1,
        minor,
        mode: 0o666,
        uid: 0,
        gid: 0,
    };
    assert_eq!(
        edits.device_nodes,
        [node("/dev/null", 3), node("/dev/zero", 5)]
    );
    assert!(edits.additional_gids.is_empty());
}

#[test]
fn a_gpu_named_twice_counts_once() {
    let gpu = gpu(Some("/dev/null"), None);
    let edits = container_edits(&HostRoot::system(), [&gpu, &gpu]).unwrap();
    assert_eq!(edits.device_nodes.len(), 1);
}

#[test]
fn no_gpus_need_no_edits() {
    let nowhere = HostRoot::new("/nowhere");
    assert_eq!(
        container_edits(&nowhere, []).unwrap(),
        ContainerEdits::default()
    );
}

#[test]
fn a_missing_node_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let host = HostRoot::new(dir.path());
    let gpu = gpu(Some("/dev/dri/card1"), Some("/dev/dri/renderD128"));
    let error = container_edits(&host, [&gpu]).unwrap_err();
    let path = dir.path().join("dev/dri/card1");
    assert_eq!(
        error.to_string(),
        format!(
            "cannot stat {}, a device node of GPU 0 (0000:05:00.0)",
            path.display()
        )
    );
    assert!(error.hint().unwrap().contains("udevadm trigger"));

    let error = container_edits(&host, [&computing(gpu)]).unwrap_err();
    assert!(error.to_string().contains("/dev/kfd"), "{error}");
    assert!(error.hint().unwrap().contains("modprobe amdgpu"));
}

#[test]
fn a_file_is_no_device_node() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("dev/dri")).unwrap();
    fs::write(dir.path().join("dev/dri/card1"), "").unwrap();
    let gpu = gpu(Some("/dev/dri/card1"), None);
    let error = container_edits(&HostRoot::new(dir.path()), [&gpu]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("dev/dri/card1 is not a character device"),
        "{error}"
    );
    assert!(error.hint().unwrap().starts_with("remove "));
}

#[test]
fn a_gpu_without_nodes_cannot_be_given() {
    let host = HostRoot::system();
    let error = container_edits(&host, [&gpu(None, None)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "GPU 0 (0000:05:00.0) has no DRM node that a container could use"
    );
    assert!(error.hint().unwrap().contains("try again"));
}
