use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::path::PathBuf;

use thiserror::Error;

use super::names::devices;
use super::{Device, DeviceEdits, NameStrategy, Node, Spec, Version};
use crate::edits::{ContainerEdits, DeviceNode, EditsError, container_edits, device_paths};
use crate::{CDI_KIND, Gpu, HostRoot, Inventory};

/// What BuildKit (0.20 and later) reads of a spec: with these, `RUN --device=amd.com/gpu` has a GPU
/// without `--allow device`, and `RUN --device=gpu` all of them.
const BUILDKIT_ANNOTATIONS: [(&str, &str); 2] = [
    ("org.mobyproject.buildkit.device.autoallow", "true"),
    ("org.mobyproject.buildkit.device.class", "gpu"),
];

/// How a spec is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// What the GPUs are called, besides `all`. Several give a GPU several names; one that is
    /// repeated counts once.
    pub names: Vec<NameStrategy>,
    /// Whether a container's process joins the groups that own the nodes. Takes version 0.7.0.
    pub additional_gids: bool,
    /// Where the consumer finds the `/dev` of the host, if not at `/dev`: below this directory.
    pub dev_root: Option<PathBuf>,
    /// The version of the spec; `None` for the lowest that its content needs.
    ///
    /// Below 0.6.0 there are no annotations: the spec then has none, and builds cannot use it
    /// without `--allow device`.
    pub version: Option<Version>,
}

impl Default for Options {
    /// Indices as names, and nothing that not every consumer of today knows.
    fn default() -> Self {
        Self {
            names: vec![NameStrategy::Index],
            additional_gids: false,
            dev_root: None,
            version: None,
        }
    }
}

/// Why there is no spec.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CdiError {
    /// A spec without a device is invalid.
    #[error("there is no GPU with the amdgpu driver on this host, and a CDI spec needs a device")]
    NoGpu,
    /// The content needs a later version.
    #[error("CDI {asked} does not have {what}, which this spec needs: that came with {needed}")]
    Version {
        /// The version asked for.
        asked: Version,
        /// The lowest that would do.
        needed: Version,
        /// What it is needed for.
        what: &'static str,
    },
    /// A GPU cannot be given to a container.
    #[error(transparent)]
    Edits(#[from] EditsError),
}

impl CdiError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoGpu => Some(
                "`lspci -d 1002:` lists the AMD devices there are, `modprobe amdgpu` loads the driver"
                    .to_owned(),
            ),
            Self::Version { needed, what, .. } => {
                Some(format!("ask for {needed} or later, or do without {what}"))
            }
            Self::Edits(error) => error.hint(),
        }
    }
}

/// The CDI spec of `inventory`, the GPUs of `host`.
///
/// # Errors
/// [`CdiError`] where there is no GPU, where a device node is missing, or where the version asked for
/// does not have what the spec needs.
pub fn generate(
    host: &HostRoot,
    inventory: &Inventory,
    options: &Options,
) -> Result<Spec, CdiError> {
    let edits = container_edits(host, &inventory.gpus)?;
    spec(inventory, &edits, options)
}

/// The spec of `inventory`, where `edits` are those of all its GPUs.
fn spec(
    inventory: &Inventory,
    edits: &ContainerEdits,
    options: &Options,
) -> Result<Spec, CdiError> {
    if inventory.gpus.is_empty() {
        return Err(CdiError::NoGpu);
    }
    let nodes: Nodes<'_> = edits
        .device_nodes
        .iter()
        .map(|node| (node.path.as_os_str(), node))
        .collect();
    let devices = devices(inventory, &options.names)
        .into_iter()
        .map(|(name, gpus)| {
            Ok(Device {
                name,
                container_edits: device_edits(&part(&nodes, &gpus)?, options),
            })
        })
        .collect::<Result<Vec<_>, EditsError>>()?;
    let (needed, what) = Spec::version_needed(&devices);
    let cdi_version = match options.version {
        None => needed.max(Version::V0_6),
        Some(asked) if asked >= needed => asked,
        Some(asked) => {
            return Err(CdiError::Version {
                asked,
                needed,
                what,
            });
        }
    };
    let annotations = if cdi_version >= Version::V0_6 {
        BTreeMap::from(BUILDKIT_ANNOTATIONS)
    } else {
        BTreeMap::new()
    };
    Ok(Spec {
        cdi_version,
        kind: CDI_KIND,
        annotations,
        devices,
    })
}

/// The nodes of all GPUs by path.
type Nodes<'a> = HashMap<&'a OsStr, &'a DeviceNode>;

/// The edits of some of the GPUs.
fn part(nodes: &Nodes<'_>, gpus: &[&Gpu]) -> Result<ContainerEdits, EditsError> {
    let of_these = device_paths(gpus.iter().copied())?
        .into_iter()
        .map(|(path, gpu)| {
            let node = nodes.get(path.as_os_str()).ok_or(EditsError::NoNode {
                index: gpu.index,
                pci: gpu.pci,
            })?;
            Ok((*node).clone())
        })
        .collect::<Result<_, EditsError>>()?;
    Ok(ContainerEdits::of_nodes(of_these))
}

fn device_edits(edits: &ContainerEdits, options: &Options) -> DeviceEdits {
    let dev_root = options.dev_root.as_ref().map(HostRoot::new);
    let node = |node: &DeviceNode| {
        let host_path = dev_root.as_ref().map(|root| root.join(&node.path));
        Node {
            path: node.path.clone(),
            host_path: host_path.filter(|path| *path != node.path),
        }
    };
    DeviceEdits {
        device_nodes: edits.device_nodes.iter().map(node).collect(),
        additional_gids: if options.additional_gids {
            edits.additional_gids.clone()
        } else {
            Vec::new()
        },
    }
}

#[cfg(test)]
mod tests;
