use discovery::ComputeNode;
use serde_json::{Value, json};

use super::*;

/// GPU `index` at bus 0x10 + index, with card `index` and the render node 128 + `index`.
fn gpu(index: usize) -> Gpu {
    Gpu {
        index,
        pci: format!("{:02x}:00.0", 0x10 + index).parse().unwrap(),
        partition: None,
        uuid: None,
        card: Some(format!("/dev/dri/card{index}").into()),
        render: Some(format!("/dev/dri/renderD{}", 128 + index).into()),
        render_minor: None,
        compute: Some(ComputeNode {
            node_id: 1,
            gpu_id: Some(2),
            gfx: None,
        }),
        name: None,
        memory_bytes: None,
        numa_node: None,
        device_id: None,
    }
}

fn inventory(gpus: usize) -> Inventory {
    Inventory {
        gpus: (0..gpus).map(gpu).collect(),
        hidden: 0,
    }
}

/// A device that is GPU `index` of [`gpu`].
fn device(name: &str, index: usize) -> Value {
    json!({"name": name, "containerEdits": {"deviceNodes": [
        {"path": "/dev/kfd"},
        {"path": format!("/dev/dri/card{index}")},
        {"path": format!("/dev/dri/renderD{}", 128 + index)},
    ]}})
}

fn document(devices: &[Value]) -> Document {
    Document::of(&json!({"cdiVersion": "0.7.0", "kind": "amd.com/gpu", "devices": devices}))
}

/// What is told of a spec with these devices on a host of so many GPUs, without the node
/// `missing`.
fn told_without(devices: &[Value], gpus: usize, missing: &str) -> Vec<String> {
    let inventory = inventory(gpus);
    let nodes: Vec<DeviceNode> = device_paths(&inventory.gpus)
        .unwrap()
        .into_iter()
        .filter(|(path, _)| *path != Path::new(missing))
        .map(|(path, _)| DeviceNode {
            path: path.to_owned(),
            major: 226,
            minor: 7,
            mode: 0o660,
            uid: 0,
            gid: 109,
        })
        .collect();
    let has_node = |path: &Path| nodes.iter().any(|node| node.path == path);
    let host = Host {
        inventory: &inventory,
        nodes: &nodes,
        has_node: &has_node,
    };
    let document = document(devices);
    differences(&document, &host)
        .into_iter()
        .chain(unlisted([&document], &inventory))
        .map(|difference| format!("{}: {}", difference.problem, difference.message))
        .collect()
}

fn told(devices: &[Value], gpus: usize) -> Vec<String> {
    told_without(devices, gpus, "")
}

#[test]
fn a_spec_of_the_gpus_there_are_fits() {
    let devices = [device("0", 0), device("0000:11:00.0", 1), device("1", 1)];
    assert_eq!(told(&devices, 2), [""; 0]);
}

#[test]
fn a_missing_node_is_named_once_with_the_devices_that_need_it() {
    let devices = [device("0", 0), device("10:00.0", 0)];
    assert_eq!(
        told_without(&devices, 1, "/dev/kfd"),
        ["missing: /dev/kfd is not there, for amd.com/gpu=0, amd.com/gpu=10:00.0"]
    );
}

#[test]
fn a_gpu_that_vanished_is_named() {
    assert_eq!(
        told(&[device("0", 0), device("1", 1)], 1),
        [
            "missing: /dev/dri/card1 is not there, for amd.com/gpu=1",
            "missing: /dev/dri/renderD129 is not there, for amd.com/gpu=1",
            "vanished: amd.com/gpu=1 is no GPU of this host: the last one is 0",
        ]
    );
}

#[test]
fn an_index_that_is_another_gpu_now_is_named() {
    assert_eq!(
        told(&[device("0", 1), device("1", 0)], 2),
        [
            "renumbered: amd.com/gpu=0 has nodes of GPU 1 (0000:11:00.0); it should be GPU 0 \
             (0000:10:00.0)",
            "renumbered: amd.com/gpu=1 has nodes of GPU 0 (0000:10:00.0); it should be GPU 1 \
             (0000:11:00.0)",
        ]
    );
}

#[test]
fn nodes_that_a_device_lacks_or_has_too_many_of_are_stale() {
    let mut lacking = device("0", 0);
    lacking["containerEdits"]["deviceNodes"]
        .as_array_mut()
        .unwrap()
        .remove(0);
    assert_eq!(told(&[lacking], 1), ["stale: amd.com/gpu=0 lacks /dev/kfd"]);

    let at_address = device("10:00.0", 1);
    assert_eq!(
        told(&[at_address, device("0", 0), device("1", 1)], 2),
        [
            "stale: amd.com/gpu=10:00.0 lacks /dev/dri/card0, /dev/dri/renderD128",
            "stale: amd.com/gpu=10:00.0 has /dev/dri/card1, /dev/dri/renderD129, which is not \
             of that GPU now",
        ]
    );
}

#[test]
fn all_that_is_not_all_any_more_is_stale() {
    assert_eq!(
        told(&[device("all", 0), device("0", 0), device("1", 1)], 2),
        ["stale: amd.com/gpu=all lacks /dev/dri/card1, /dev/dri/renderD129"]
    );
}

#[test]
fn numbers_and_groups_of_another_boot_are_stale() {
    let mut pinned = device("0", 0);
    pinned["containerEdits"]["deviceNodes"][0] =
        json!({"path": "/dev/kfd", "type": "c", "major": 0, "minor": 0});
    pinned["containerEdits"]["additionalGids"] = json!([44]);
    assert_eq!(
        told(&[pinned], 1),
        [
            "stale: amd.com/gpu=0 has groups 44; its nodes now belong to 109",
            "stale: /dev/kfd has number 0:0 in the spec and 226:7 on this host",
        ]
    );
}

#[test]
fn a_gpu_that_is_in_no_device_is_named() {
    assert_eq!(
        told(&[device("0", 0)], 2),
        ["unlisted: GPU 1 (0000:11:00.0) is in no device of the spec"]
    );
}

#[test]
fn a_name_of_the_administrators_own_can_be_any_gpu() {
    assert_eq!(told(&[device("training", 0)], 1), [""; 0]);
}
