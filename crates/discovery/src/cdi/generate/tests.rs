use serde_json::{Value, json};

use super::*;
use crate::{ComputeNode, PciAddress, Uuid};

/// GPU `index`: two partitions of a board that share its UUID, and a card for graphics only that
/// has none.
fn gpu(index: usize) -> Gpu {
    let graphics_only = index == 2;
    let pci: PciAddress = if graphics_only { "c1:00.0" } else { "05:00.0" }
        .parse()
        .unwrap();
    Gpu {
        index,
        pci,
        partition: None,
        uuid: (!graphics_only).then_some(Uuid(0xab)),
        card: Some(format!("/dev/dri/card{index}").into()),
        render: Some(format!("/dev/dri/renderD{}", 128 + index).into()),
        render_minor: None,
        compute: (!graphics_only).then_some(ComputeNode {
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

fn inventory() -> Inventory {
    Inventory {
        gpus: (0..3).map(gpu).collect(),
        hidden: 0,
    }
}

/// The edits of all GPUs: cards belong to group 44, the others to group 109.
fn edits(inventory: &Inventory) -> ContainerEdits {
    let node = |path: &std::path::Path| DeviceNode {
        path: path.to_owned(),
        major: 226,
        minor: 1,
        mode: 0o660,
        uid: 0,
        gid: if path.to_str().unwrap().contains("card") {
            44
        } else {
            109
        },
    };
    let paths = device_paths(&inventory.gpus).unwrap();
    ContainerEdits::of_nodes(paths.iter().map(|(path, _)| node(path)).collect())
}

fn made(options: &Options) -> Result<Spec, CdiError> {
    let inventory = inventory();
    spec(&inventory, &edits(&inventory), options)
}

fn json(options: &Options) -> Value {
    serde_json::to_value(made(options).unwrap()).unwrap()
}

/// The device `name` as its render minors, and whether it has KFD.
fn shape(spec: &Spec, name: &str) -> (bool, Vec<String>) {
    let device = spec.devices.iter().find(|device| device.name == name);
    let nodes = &device.unwrap().container_edits.device_nodes;
    let paths: Vec<&str> = nodes
        .iter()
        .map(|node| node.path.to_str().unwrap())
        .collect();
    let renders = paths
        .iter()
        .filter_map(|p| p.strip_prefix("/dev/dri/renderD"));
    (
        paths.contains(&"/dev/kfd"),
        renders.map(str::to_owned).collect(),
    )
}

#[test]
fn a_spec_has_an_index_for_each_gpu_and_all() {
    let spec = json(&Options::default());
    assert_eq!(spec["cdiVersion"], "0.6.0");
    assert_eq!(spec["kind"], "amd.com/gpu");
    let names: Vec<_> = spec["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| device["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["0", "1", "2", "all"]);
    assert_eq!(
        spec["devices"][1],
        json!({"name": "1", "containerEdits": {"deviceNodes": [
            {"path": "/dev/kfd"}, {"path": "/dev/dri/card1"}, {"path": "/dev/dri/renderD129"},
        ]}}),
        "no numbers, mode or owner: those are the consumer's to look up"
    );
}

#[test]
fn a_gpu_for_graphics_only_comes_without_kfd() {
    let spec = made(&Options::default()).unwrap();
    assert_eq!(shape(&spec, "2"), (false, vec!["130".to_owned()]));
}

#[test]
fn all_is_every_node_once() {
    let spec = made(&Options::default()).unwrap();
    let all = &spec.devices.last().unwrap().container_edits.device_nodes;
    let wanted = edits(&inventory()).device_nodes;
    assert!(
        all.iter()
            .map(|n| &n.path)
            .eq(wanted.iter().map(|n| &n.path))
    );
}

#[test]
fn partitions_that_share_a_name_are_one_device() {
    let spec = made(&Options {
        names: vec![NameStrategy::Uuid, NameStrategy::Pci],
        ..Options::default()
    })
    .unwrap();
    let names: Vec<&str> = spec.devices.iter().map(|d| d.name.as_str()).collect();
    assert_eq!(names, ["0xAB", "0000:05:00.0", "0000:c1:00.0", "all"]);
    let both = (true, vec!["128".to_owned(), "129".to_owned()]);
    assert_eq!(shape(&spec, "0xAB"), both);
    assert_eq!(shape(&spec, "0000:05:00.0"), both);
}

#[test]
fn a_strategy_that_is_repeated_counts_once() {
    let spec = made(&Options {
        names: vec![NameStrategy::Index, NameStrategy::Index],
        ..Options::default()
    });
    assert_eq!(spec.unwrap(), made(&Options::default()).unwrap());
}

#[test]
fn gpus_without_a_uuid_have_no_name_where_uuids_are_the_only_names() {
    let inventory = inventory();
    let indices = |strategies: &[NameStrategy]| -> Vec<usize> {
        let nameless = super::super::without_name(&inventory, strategies);
        nameless.iter().map(|gpu| gpu.index).collect()
    };
    assert_eq!(indices(&[NameStrategy::Uuid]), [2]);
    assert!(indices(&[NameStrategy::Uuid, NameStrategy::Pci]).is_empty());
}

#[test]
fn buildkit_may_use_the_devices_unasked() {
    assert_eq!(
        json(&Options::default())["annotations"],
        json!({
            "org.mobyproject.buildkit.device.autoallow": "true",
            "org.mobyproject.buildkit.device.class": "gpu",
        })
    );
}

#[test]
fn groups_are_those_of_the_devices_own_nodes() {
    let spec = json(&Options {
        additional_gids: true,
        ..Options::default()
    });
    assert_eq!(spec["cdiVersion"], "0.7.0");
    assert_eq!(
        spec["devices"][0]["containerEdits"]["additionalGids"],
        json!([44, 109])
    );
}

#[test]
fn a_host_path_is_said_where_it_differs() {
    let under = |root: &str| {
        let options = Options {
            dev_root: Some(root.into()),
            ..Options::default()
        };
        json(&options)["devices"][0]["containerEdits"]["deviceNodes"][0].clone()
    };
    assert_eq!(
        under("/host"),
        json!({"path": "/dev/kfd", "hostPath": "/host/dev/kfd"})
    );
    assert_eq!(under("/"), json!({"path": "/dev/kfd"}));
}

#[test]
fn the_version_is_the_lowest_that_will_do_or_the_one_asked_for() {
    let version = |version, additional_gids| {
        let options = Options {
            version,
            additional_gids,
            ..Options::default()
        };
        made(&options).map(|spec| (spec.cdi_version, !spec.annotations.is_empty()))
    };
    for (asked, gids, expected) in [
        (None, false, (Version::V0_6, true)),
        (None, true, (Version::V0_7, true)),
        (Some(Version::V0_5), false, (Version::V0_5, false)),
        (Some(Version::V0_6), false, (Version::V0_6, true)),
        (Some(Version::V1_1), true, (Version::V1_1, true)),
    ] {
        assert_eq!(version(asked, gids).unwrap(), expected, "{asked:?} {gids}");
    }
    for (asked, gids, message) in [
        (
            Version::V0_4,
            false,
            "CDI 0.4.0 does not have a device name that starts with a digit, which this spec \
             needs: that came with 0.5.0",
        ),
        (
            Version::V0_6,
            true,
            "CDI 0.6.0 does not have additionalGids, which this spec needs: that came with 0.7.0",
        ),
    ] {
        let error = version(Some(asked), gids).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert!(error.hint().is_some());
    }
}

#[test]
fn no_gpu_is_no_spec() {
    let none = Inventory::default();
    let error = spec(&none, &ContainerEdits::default(), &Options::default()).unwrap_err();
    assert!(matches!(error, CdiError::NoGpu), "{error}");
    assert!(error.hint().is_some());
}

#[test]
fn every_device_name_is_a_request_for_the_same_gpus() {
    let inventory = inventory();
    let strategies = [NameStrategy::Index, NameStrategy::Uuid, NameStrategy::Pci];
    for (name, gpus) in devices(&inventory, &strategies) {
        assert!(super::super::is_device_name(&name), "{name}");
        let asked = crate::selection::parse(&format!("{CDI_KIND}={name}"));
        let crate::selection::Asked::Gpus(request) = asked else {
            panic!("{name} is no request");
        };
        let chosen = request.resolve(&inventory).strict(&inventory).unwrap();
        assert!(gpus.iter().map(|gpu| gpu.index).eq(chosen), "{name}");
    }
}
