//! Discovery on file trees of real machines: against what KFD says of each, as its capture lists it.
//!
//! `AMD_TEST_MACHINES` names a folder of them, `<machine>.tar.gz` or unpacked: `sys/`, `nodes.tsv`
//! (KFD's nodes) and `dev.list` (device nodes: path, type, major, minor, mode, uid, gid).

#![allow(
    clippy::unwrap_used,
    reason = "a capture that is not as described fails its test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use discovery::{Gpu, HostRoot, Inventory, PciAddress, Uuid};
use flate2::read::GzDecoder;

/// Runs `check` on every machine there is.
fn for_each_machine(check: impl Fn(&Machine)) {
    let Some(folder) = env::var_os("AMD_TEST_MACHINES") else {
        eprintln!("skipped: AMD_TEST_MACHINES names no folder of captured machines");
        return;
    };
    let unpacked = tempfile::tempdir().unwrap();
    let mut machines = BTreeSet::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.join("sys").is_dir() {
            machines.insert(path);
        } else if let Some(name) = path.to_str().and_then(|path| path.strip_suffix(".tar.gz")) {
            tar::Archive::new(GzDecoder::new(File::open(&path).unwrap()))
                .unpack(unpacked.path())
                .unwrap();
            machines.insert(unpacked.path().join(Path::new(name).file_name().unwrap()));
        }
    }
    assert!(!machines.is_empty(), "no machine in {}", folder.display());
    for directory in machines {
        check(&Machine { directory });
    }
}

struct Machine {
    directory: PathBuf,
}

/// What KFD says of a GPU node.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    node_id: u32,
    /// Domain, bus and device; the function bits count partitions.
    slot: (u32, u8, u8),
    render_minor: u32,
    uuid: Option<Uuid>,
    gfx_target_version: u32,
}

impl Machine {
    fn name(&self) -> std::borrow::Cow<'_, str> {
        self.directory.file_name().unwrap().to_string_lossy()
    }

    fn gpus(&self) -> Vec<Gpu> {
        Inventory::discover(&HostRoot::new(&self.directory))
            .unwrap()
            .gpus
    }

    /// The GPU nodes of `nodes.tsv` that name a render node.
    fn nodes(&self) -> BTreeSet<Node> {
        let text = fs::read_to_string(self.directory.join("nodes.tsv")).unwrap();
        let mut lines = text.lines();
        let columns: Vec<&str> = lines.next().unwrap().split('\t').collect();
        let rows = lines.map(|line| columns.iter().copied().zip(line.split('\t')).collect());
        rows.filter(|row: &BTreeMap<_, _>| number(row, "vendor") == 0x1002)
            .map(|row| {
                let location = number(&row, "location_id");
                Node {
                    node_id: number(&row, "node") as u32,
                    slot: (
                        number(&row, "domain") as u32,
                        (location >> 8) as u8,
                        (location as u8) >> 3,
                    ),
                    render_minor: number(&row, "render_minor") as u32,
                    uuid: Uuid::from_unique_id(number(&row, "unique_id_dec")),
                    gfx_target_version: number(&row, "gfx") as u32,
                }
            })
            .collect()
    }

    /// Character devices of `dev.list`: numbers by path.
    fn devices(&self) -> BTreeMap<PathBuf, (u32, u32)> {
        let text = fs::read_to_string(self.directory.join("dev.list")).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                (
                    words[0].into(),
                    (words[2].parse().unwrap(), words[3].parse().unwrap()),
                )
            })
            .collect()
    }

    /// The PCI devices bound to amdgpu.
    fn bound(&self) -> BTreeSet<PciAddress> {
        let driver = self.directory.join("sys/bus/pci/drivers/amdgpu");
        let entries = fs::read_dir(driver).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }
}

/// The number in a column of `nodes.tsv`, 0 where the driver did not tell.
fn number(row: &BTreeMap<&str, &str>, column: &str) -> u64 {
    row.get(column)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

fn slot(pci: &PciAddress) -> (u32, u8, u8) {
    (pci.domain, pci.bus, pci.device)
}

/// `gfx942` back to 90402.
fn gfx_target_version(name: &str) -> u32 {
    let (rest, step) = name.split_at(name.len() - 1);
    let (major, minor) = rest.trim_start_matches("gfx").split_at(rest.len() - 4);
    let digit = |text| u32::from_str_radix(text, 16).unwrap();
    major.parse::<u32>().unwrap() * 10_000 + digit(minor) * 100 + digit(step)
}

#[test]
fn every_gpu_node_of_kfd_is_a_gpu_with_its_uuid_and_render_node() {
    for_each_machine(|machine| {
        let gpus = machine.gpus();
        let found: BTreeSet<Node> = gpus
            .iter()
            .filter_map(|gpu| {
                let node = gpu.compute.as_ref()?;
                let gfx = node.gfx.as_deref();
                Some(Node {
                    node_id: node.node_id,
                    slot: slot(&gpu.pci),
                    render_minor: gpu.render_minor.unwrap_or(0),
                    uuid: gpu.uuid,
                    gfx_target_version: gfx.map_or(0, gfx_target_version),
                })
            })
            .collect();
        assert_eq!(found, machine.nodes(), "{}", machine.name());
    });
}

#[test]
fn every_other_device_of_amdgpu_is_graphics_only() {
    for_each_machine(|machine| {
        let computing: BTreeSet<_> = machine.nodes().into_iter().map(|node| node.slot).collect();
        let mut expected = machine.bound();
        expected.retain(|pci| !computing.contains(&slot(pci)));
        let gpus = machine.gpus();
        let graphics_only = gpus
            .iter()
            .filter(|gpu| gpu.graphics_only())
            .map(|gpu| gpu.pci);
        assert_eq!(
            graphics_only.collect::<BTreeSet<_>>(),
            expected,
            "{}",
            machine.name()
        );
    });
}

#[test]
fn every_gpu_has_the_device_nodes_of_its_machine() {
    for_each_machine(|machine| {
        let devices = machine.devices();
        for gpu in machine.gpus() {
            let at = format!("{}: {gpu:?}", machine.name());
            let numbers = |path: &Option<PathBuf>| path.as_ref().and_then(|path| devices.get(path));
            let render = gpu.render_minor.map(|minor| (226, minor));
            assert!(render.is_some(), "{at}");
            assert_eq!(numbers(&gpu.render).copied(), render, "{at}");
            assert!(
                numbers(&gpu.card).is_some_and(|&(major, _)| major == 226),
                "{at}"
            );
        }
    });
}

#[test]
fn gpus_are_in_order_and_no_two_share_a_node() {
    for_each_machine(|machine| {
        let gpus = machine.gpus();
        let order = |gpu: &Gpu| {
            (
                gpu.pci,
                gpu.partition.as_ref().map(|part| part.index),
                gpu.render_minor,
            )
        };
        assert!(gpus.is_sorted_by_key(order), "{}", machine.name());
        assert!(
            gpus.iter()
                .enumerate()
                .all(|(index, gpu)| gpu.index == index)
        );
        let nodes: Vec<_> = gpus
            .iter()
            .flat_map(|gpu| [&gpu.card, &gpu.render])
            .flatten()
            .collect();
        assert_eq!(
            nodes.iter().collect::<BTreeSet<_>>().len(),
            nodes.len(),
            "{}",
            machine.name()
        );
    });
}
