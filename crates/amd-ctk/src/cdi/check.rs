//! Checks CDI specs, by themselves, together, and against the host.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use discovery::edits::{DeviceNode, container_edits};
use discovery::{CDI_KIND, DiscoveryError, HostRoot, Inventory};
use serde::Serialize;

use super::on_host::{Difference, Host, Problem, differences, unlisted};
use super::{Document, Found, GENERATED, SPEC_DIRS, faults, read_file, spec_paths};
use crate::error::CommandError;

/// The specs where consumers look for them.
#[derive(Debug, Default)]
pub struct Installed {
    /// Those of our kind.
    pub ours: Vec<Found>,
    /// The files that cannot be read, most likely another vendor's, and why.
    pub unread: Vec<(PathBuf, CommandError)>,
}

impl Installed {
    /// Why the file by the name of `amd-ctk cdi generate`'s cannot be read, where that is so.
    pub fn unread_of_ours(&self) -> Option<&(PathBuf, CommandError)> {
        let name = Path::new(GENERATED).file_name();
        self.unread
            .iter()
            .find(|(path, _)| path.file_name() == name)
    }

    /// How to come by a spec of our kind where there is none.
    pub fn way_to_one(&self) -> String {
        const GENERATE: &str = "`amd-ctk cdi generate`";
        match self.unread_of_ours() {
            Some((path, _)) => format!(
                "correct {path}, or remove it if nobody needs it: {GENERATE} then writes one",
                path = path.display()
            ),
            None => format!("{GENERATE} writes one"),
        }
    }
}

/// Reads the specs of a host.
///
/// # Errors
/// Where a directory cannot be read.
pub fn installed(host: &HostRoot) -> Result<Installed, CommandError> {
    let mut installed = Installed::default();
    for dir in SPEC_DIRS {
        // One that does not exist does not resolve.
        let Ok(dir) = host.resolve(dir) else { continue };
        for path in spec_paths(&dir)? {
            match read_file(&path) {
                Ok(file) if file.document().kind == CDI_KIND => installed.ours.push(file),
                Ok(_) => {}
                Err(error) => installed.unread.push((path, error)),
            }
        }
    }
    Ok(installed)
}

/// What is wrong with some specs. It is also the shape of `amd-ctk cdi validate --format json`
/// and `--format yaml`: keys may be added, none is removed or renamed.
///
/// ```json
/// {
///   "valid": false,
///   "specs": [
///     { "file": "/etc/cdi/amd.json", "kind": "amd.com/gpu", "cdi_version": "0.6.0", "devices": 3 }
///   ],
///   "findings": [
///     { "file": "/etc/cdi/amd.json", "problem": "missing", "message": "/dev/kfd is not there, for ..." }
///   ]
/// }
/// ```
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether there is no finding.
    pub valid: bool,
    /// What was checked.
    pub specs: Vec<CheckedSpec>,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// A spec that was checked.
#[derive(Debug, Serialize)]
pub struct CheckedSpec {
    /// Its file.
    pub file: String,
    /// Its kind, as it is written.
    pub kind: String,
    /// Its version, as it is written.
    pub cdi_version: String,
    /// How many devices it has.
    pub devices: usize,
}

/// One thing that is wrong.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// The file; `null` for what is wrong with all specs together.
    pub file: Option<String>,
    /// Its sort.
    pub problem: Problem,
    /// Which thing, and what of it.
    pub message: String,
}

impl CheckedSpec {
    fn new(spec: &Found) -> Self {
        let document = spec.document();
        Self {
            file: spec.path.display().to_string(),
            devices: document.devices.len(),
            kind: document.kind,
            cdi_version: document.version,
        }
    }
}

impl Report {
    /// Checks the form of specs, and compares those of our kind with `host`.
    ///
    /// # Errors
    /// Where the GPUs cannot be read, which is not tried without a valid spec of our kind.
    pub fn of(specs: &[Found], host: &HostRoot) -> Result<Self, DiscoveryError> {
        let mut report = Self::default();
        report.duplicates(specs);
        let valid: Vec<(&Found, Document)> = specs
            .iter()
            .filter(|spec| report.form(spec))
            .map(|spec| (spec, spec.document()))
            .filter(|(_, document)| document.kind == CDI_KIND)
            .collect();
        if !valid.is_empty() {
            report.on_host(&valid, host, &Inventory::identify(host)?);
        }
        report.valid = report.findings.is_empty();
        report.specs = specs.iter().map(CheckedSpec::new).collect();
        Ok(report)
    }

    fn add(&mut self, file: Option<&Path>, problem: Problem, message: String) {
        self.findings.push(Finding {
            file: file.map(|file| file.display().to_string()),
            problem,
            message,
        });
    }

    /// Device names that two files of one directory have. In different directories the
    /// later one wins, which is no fault.
    fn duplicates(&mut self, specs: &[Found]) {
        let mut first: BTreeMap<(Option<&Path>, String), &Path> = BTreeMap::new();
        for spec in specs {
            let mut own: Vec<String> = spec.document().names().collect();
            own.sort();
            own.dedup();
            for name in own {
                let key = (spec.path.parent(), name.clone());
                if let Some(other) = first.insert(key, &spec.path) {
                    let message = format!("{name} is in {} too", other.display());
                    self.add(Some(&spec.path), Problem::Duplicate, message);
                }
            }
        }
    }

    /// Whether consumers take the spec.
    fn form(&mut self, spec: &Found) -> bool {
        let faults = faults(&spec.value);
        for fault in &faults {
            self.add(Some(&spec.path), Problem::Invalid, fault.to_string());
        }
        faults.is_empty()
    }

    fn on_host(&mut self, specs: &[(&Found, Document)], host: &HostRoot, inventory: &Inventory) {
        let nodes = nodes(host, inventory);
        let has_node = |path: &Path| {
            let meta = host.resolve(path).and_then(fs::metadata);
            meta.is_ok_and(|meta| meta.file_type().is_char_device())
        };
        let now = Host {
            inventory,
            nodes: &nodes,
            has_node: &has_node,
        };
        for (spec, document) in specs {
            for Difference { problem, message } in differences(document, &now) {
                self.add(Some(&spec.path), problem, message);
            }
        }
        for Difference { problem, message } in unlisted(specs.iter().map(|(_, d)| d), inventory) {
            self.add(None, problem, message);
        }
    }
}

/// The nodes that are there. A missing one is found by the names in the spec.
fn nodes(host: &HostRoot, inventory: &Inventory) -> Vec<DeviceNode> {
    let mut nodes: BTreeMap<PathBuf, DeviceNode> = BTreeMap::new();
    for gpu in &inventory.gpus {
        if let Ok(edits) = container_edits(host, [gpu]) {
            nodes.extend(
                edits
                    .device_nodes
                    .into_iter()
                    .map(|node| (node.path.clone(), node)),
            );
        }
    }
    nodes.into_values().collect()
}
