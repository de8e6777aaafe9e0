//! Compares specs of our kind with the host.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

use discovery::cdi::ALL;
use discovery::edits::{DeviceNode, device_paths};
use discovery::selection::{self, Asked, Reason};
use discovery::{CDI_KIND, Gpu, Inventory};
use serde::Serialize;

use super::{Document, OfferedDevice};

/// What is wrong with a spec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Problem {
    /// Consumers refuse the file.
    Invalid,
    /// Two files of a directory have a device of one name: consumers refuse both.
    Duplicate,
    /// A device node is not there.
    Missing,
    /// A GPU is not there.
    Vanished,
    /// An index is that of another GPU than the nodes.
    Renumbered,
    /// Nodes, numbers or groups are not those that the host has now.
    Stale,
    /// A GPU of the host is in no device.
    Unlisted,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "invalid",
            Self::Duplicate => "duplicate",
            Self::Missing => "missing",
            Self::Vanished => "vanished",
            Self::Renumbered => "renumbered",
            Self::Stale => "stale",
            Self::Unlisted => "unlisted",
        })
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its sort.
    pub problem: Problem,
    /// Which thing, and what of it.
    pub message: String,
}

/// What the host has.
pub struct Host<'a> {
    /// Its GPUs.
    pub inventory: &'a Inventory,
    /// The device nodes of its GPUs that are there.
    pub nodes: &'a [DeviceNode],
    /// Whether a character device is at a path.
    pub has_node: &'a dyn Fn(&Path) -> bool,
}

/// Where `document`, a spec of our kind, does not fit the host.
pub fn differences(document: &Document, host: &Host<'_>) -> Vec<Difference> {
    let mut comparison = Comparison {
        host,
        nodes: host
            .nodes
            .iter()
            .map(|node| (node.path.as_path(), node))
            .collect(),
        found: Vec::new(),
    };
    comparison.missing_nodes(document);
    for device in &document.devices {
        comparison.device(device);
    }
    comparison.numbers(document);
    comparison.found
}

/// The GPUs of which no device of `documents` has a node of their own.
pub fn unlisted<'a>(
    documents: impl IntoIterator<Item = &'a Document>,
    inventory: &Inventory,
) -> Vec<Difference> {
    let offered: BTreeSet<&Path> = documents
        .into_iter()
        .flat_map(|document| &document.devices)
        .flat_map(|device| &device.nodes)
        .map(|node| node.path.as_path())
        .collect();
    let own = |gpu: &Gpu| {
        [&gpu.card, &gpu.render]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    };
    inventory
        .gpus
        .iter()
        .filter(|gpu| {
            let own: Vec<PathBuf> = own(gpu);
            !own.is_empty() && !own.iter().any(|path| offered.contains(path.as_path()))
        })
        .map(|gpu| Difference {
            problem: Problem::Unlisted,
            message: format!("{} is in no device of the spec", describe(gpu)),
        })
        .collect()
}

struct Comparison<'a> {
    host: &'a Host<'a>,
    nodes: HashMap<&'a Path, &'a DeviceNode>,
    found: Vec<Difference>,
}

impl Comparison<'_> {
    fn add(&mut self, problem: Problem, message: String) {
        self.found.push(Difference { problem, message });
    }

    fn missing_nodes(&mut self, document: &Document) {
        let mut missing: BTreeMap<&PathBuf, Vec<String>> = BTreeMap::new();
        for (device, name) in document.devices.iter().zip(document.names()) {
            for node in &device.nodes {
                if !(self.host.has_node)(node.on_host()) {
                    missing
                        .entry(node.on_host())
                        .or_default()
                        .push(name.clone());
                }
            }
        }
        for (path, names) in missing {
            let message = format!("{} is not there, for {}", path.display(), names.join(", "));
            self.add(Problem::Missing, message);
        }
    }

    fn device(&mut self, device: &OfferedDevice) {
        let name = format!("{CDI_KIND}={}", device.name);
        let Asked::Gpus(request) = selection::parse(&name) else {
            return;
        };
        let resolution = request.resolve(self.host.inventory);
        if let [unknown] = resolution.unknown.as_slice() {
            // A name of the administrator's own can stand for any nodes.
            if !matches!(unknown.reason, Reason::NoSuchCdiDevice) {
                let message = format!("{name} is no GPU of this host: {}", unknown.reason);
                self.add(Problem::Vanished, message);
            }
            return;
        }
        let gpus: Vec<&Gpu> = resolution
            .gpus
            .iter()
            .map(|&index| &self.host.inventory.gpus[index])
            .collect();
        match device_paths(gpus.iter().copied()) {
            Ok(paths) => {
                let expected: BTreeSet<&Path> = paths.iter().map(|(path, _)| *path).collect();
                self.nodes_of(&name, device, &gpus, &expected);
                self.groups(&name, device, &expected);
            }
            Err(error) => self.add(Problem::Stale, format!("{name}: {error}")),
        }
    }

    fn nodes_of(
        &mut self,
        name: &str,
        device: &OfferedDevice,
        gpus: &[&Gpu],
        expected: &BTreeSet<&Path>,
    ) {
        let offered: BTreeSet<&Path> = device
            .nodes
            .iter()
            .map(|node| node.path.as_path())
            .collect();
        let others = self.owners(offered.difference(expected).copied());
        let is_index = device.name != ALL && device.name.bytes().all(|byte| byte.is_ascii_digit());
        if let (true, [gpu], false) = (is_index, gpus, others.is_empty()) {
            let others: Vec<String> = others.iter().map(|gpu| describe(gpu)).collect();
            let message = format!(
                "{name} has nodes of {}; it should be {}",
                others.join(" and "),
                describe(gpu)
            );
            return self.add(Problem::Renumbered, message);
        }
        let lacking = listed(expected.difference(&offered).copied());
        if !lacking.is_empty() {
            self.add(Problem::Stale, format!("{name} lacks {lacking}"));
        }
        let there = |path: &&Path| (self.host.has_node)(path);
        let extra = listed(offered.difference(expected).copied().filter(there));
        if !extra.is_empty() {
            let message = format!("{name} has {extra}, which is not of that GPU now");
            self.add(Problem::Stale, message);
        }
    }

    /// The GPUs that these nodes are their own of.
    fn owners<'p>(&self, paths: impl Iterator<Item = &'p Path>) -> Vec<&Gpu> {
        let paths: Vec<&Path> = paths.collect();
        let owns = |gpu: &&Gpu| {
            let mut own = [&gpu.card, &gpu.render].into_iter().flatten();
            own.any(|path| paths.contains(&path.as_path()))
        };
        self.host.inventory.gpus.iter().filter(owns).collect()
    }

    fn groups(&mut self, name: &str, device: &OfferedDevice, expected: &BTreeSet<&Path>) {
        let nodes = expected.iter().filter_map(|path| self.nodes.get(path));
        let now: BTreeSet<u64> = nodes
            .map(|node| node.gid.into())
            .filter(|&gid| gid != 0)
            .collect();
        let stated: BTreeSet<u64> = device.additional_gids.iter().copied().collect();
        if !stated.is_empty() && stated != now {
            let list = |gids: &BTreeSet<u64>| {
                gids.iter()
                    .map(u64::to_string)
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let message = format!(
                "{name} has groups {}; its nodes now belong to {}",
                list(&stated),
                list(&now)
            );
            self.add(Problem::Stale, message);
        }
    }

    fn numbers(&mut self, document: &Document) {
        let mut seen = BTreeSet::new();
        for node in document.devices.iter().flat_map(|device| &device.nodes) {
            let (Some(stated), Some(now)) = (node.numbers, self.nodes.get(node.path.as_path()))
            else {
                continue;
            };
            let now = (i64::from(now.major), i64::from(now.minor));
            if stated != now && seen.insert(&node.path) {
                let message = format!(
                    "{} has number {}:{} in the spec and {}:{} on this host",
                    node.path.display(),
                    stated.0,
                    stated.1,
                    now.0,
                    now.1
                );
                self.add(Problem::Stale, message);
            }
        }
    }
}

fn listed<'a>(paths: impl Iterator<Item = &'a Path>) -> String {
    let paths: Vec<String> = paths.map(|path| path.display().to_string()).collect();
    paths.join(", ")
}

fn describe(gpu: &Gpu) -> String {
    format!("GPU {} ({})", gpu.index, gpu.pci)
}

#[cfg(test)]
#[path = "on_host_tests.rs"]
mod tests;
