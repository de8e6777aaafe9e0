//! `amd-ctk cdi list`: the CDI names of the host's GPUs, and what specs on disk offer.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use discovery::cdi::ALL;
use discovery::edits::container_edits;
use discovery::{CDI_KIND, Gpu};
use serde::Serialize;

use super::{identify, warn_of_missing};
use crate::cdi::{Document, read_dir};
use crate::cli::{CdiListArgs, GlobalArgs};
use crate::error::CommandError;
use crate::output::{Format, Streams, printable, write_json, write_yaml};

/// Lists the names under which containers can ask for this host's GPUs, each with
/// its DRM nodes:
///
/// ```text
/// Found 1 AMD GPU device
/// amd.com/gpu=all
/// amd.com/gpu=0
///   /dev/dri/card1
///   /dev/dri/renderD128
/// ```
///
/// For each directory of `--spec-dir` follow the spec files in it, by name, each with the
/// devices that it offers, whoever's they are. One that engines refuse is a warning.
///
/// # Errors
///
/// If the GPUs cannot be read, or if a node of one is missing: the list says what a
/// container can be given, so it has no name that would not work. `amd-ctk gpu list`
/// shows such a GPU, with the node marked. If a directory of `--spec-dir` is not there.
pub fn run(
    args: &CdiListArgs,
    global: &GlobalArgs,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let (host, inventory) = identify(global)?;
    container_edits(&host, &inventory.gpus)?;
    let list = List {
        devices: devices(&inventory.gpus),
        specs: specs(&args.spec_dir, streams)?,
    };
    warn_of_missing(&inventory, streams.err);
    match args.format {
        Format::Json => write_json(streams.out, &list)?,
        Format::Yaml => write_yaml(streams.out, &list)?,
        Format::Table => write_list(streams.out, inventory.gpus.len(), &list)?,
    }
    Ok(())
}

/// The shape of `--format json` and `--format yaml`. Keys may be added, none is
/// removed or renamed.
///
/// ```json
/// {
///   "devices": [
///     { "name": "amd.com/gpu=all", "nodes": ["/dev/dri/card1", "/dev/dri/renderD128"] },
///     { "name": "amd.com/gpu=0", "nodes": ["/dev/dri/card1", "/dev/dri/renderD128"] }
///   ],
///   "specs": [
///     {
///       "file": "/etc/cdi/vendor.json",
///       "kind": "vendor.com/device",
///       "cdi_version": "0.6.0",
///       "devices": [{ "name": "vendor.com/device=0", "nodes": ["/dev/vendor0"] }]
///     }
///   ]
/// }
/// ```
#[derive(Debug, Serialize)]
struct List {
    /// Those of the host's GPUs, with the nodes that are theirs alone.
    devices: Vec<Device>,
    /// The files in the directories of `--spec-dir`.
    specs: Vec<ListedSpec>,
}

#[derive(Debug, Serialize)]
struct Device {
    name: String,
    nodes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ListedSpec {
    file: String,
    kind: String,
    cdi_version: String,
    devices: Vec<Device>,
}

fn devices(gpus: &[Gpu]) -> Vec<Device> {
    let all = (!gpus.is_empty()).then(|| Device {
        name: format!("{CDI_KIND}={ALL}"),
        nodes: gpus.iter().flat_map(own_nodes).collect(),
    });
    let each = gpus.iter().map(|gpu| Device {
        name: gpu.cdi_name(),
        nodes: own_nodes(gpu).collect(),
    });
    all.into_iter().chain(each).collect()
}

fn own_nodes(gpu: &Gpu) -> impl Iterator<Item = String> {
    gpu.card
        .iter()
        .chain(&gpu.render)
        .map(|node| node.display().to_string())
}

fn specs(dirs: &[PathBuf], streams: &mut Streams<'_>) -> Result<Vec<ListedSpec>, CommandError> {
    let mut specs = Vec::new();
    for dir in dirs {
        if !dir.is_dir() {
            // Without this, a mistyped path looks like a directory without specs.
            let cause = anyhow!("--spec-dir {}: no such directory", dir.display());
            return Err(CommandError::new(cause, None));
        }
        for file in read_dir(dir)? {
            match file.and_then(|file| Ok((file.valid_document()?, file.path))) {
                Ok((document, path)) => specs.push(ListedSpec::new(&path, document)),
                Err(error) => error.report("warning", streams.err),
            }
        }
    }
    Ok(specs)
}

impl ListedSpec {
    fn new(path: &Path, document: Document) -> Self {
        let device = |(name, device): (String, &crate::cdi::OfferedDevice)| Device {
            name,
            nodes: device
                .nodes
                .iter()
                .map(|node| node.on_host().display().to_string())
                .collect(),
        };
        Self {
            file: path.display().to_string(),
            devices: document
                .names()
                .zip(&document.devices)
                .map(device)
                .collect(),
            kind: document.kind,
            cdi_version: document.version,
        }
    }
}

fn write_list(out: &mut dyn Write, gpus: usize, list: &List) -> io::Result<()> {
    let plural = if gpus == 1 { "" } else { "s" };
    writeln!(out, "Found {gpus} AMD GPU device{plural}")?;
    for device in &list.devices {
        // The manual shows the nodes of each GPU, and none below `all`.
        let is_all = device.name.ends_with("=all");
        write_device(out, &device.name, if is_all { &[] } else { &device.nodes })?;
    }
    for spec in &list.specs {
        writeln!(out, "\n{} (CDI {})", spec.file, spec.cdi_version)?;
        for device in &spec.devices {
            write_device(out, &device.name, &device.nodes)?;
        }
    }
    Ok(())
}

fn write_device(out: &mut dyn Write, name: &str, nodes: &[String]) -> io::Result<()> {
    writeln!(out, "{name}")?;
    let mut nodes = nodes.iter().map(|node| printable(node));
    nodes.try_for_each(|node| writeln!(out, "  {node}"))
}
