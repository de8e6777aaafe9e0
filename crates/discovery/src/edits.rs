//! What a GPU is to a container: device nodes and groups, in the terms of CDI container edits.
//!
//! See "CDI JSON Specification" of the Container Device Interface, `containerEdits.deviceNodes` and
//! `containerEdits.additionalGids`.

use std::collections::{BTreeSet, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, open, statat};
use thiserror::Error;

use crate::{Gpu, HostRoot, PciAddress};

const KFD: &str = "/dev/kfd";

/// A character device that a container gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceNode {
    /// Its path on the host and in the container.
    pub path: PathBuf,
    /// Major number. That of `/dev/kfd` changes over a reboot.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits on the host, such as 0o660.
    pub mode: u32,
    /// Owner on the host.
    pub uid: u32,
    /// Group on the host. Its number differs from host to host.
    pub gid: u32,
}

/// The changes to a container that give it a set of GPUs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContainerEdits {
    /// `/dev/kfd` first, once, if a GPU needs it; then for each GPU its card and its render node.
    pub device_nodes: Vec<DeviceNode>,
    /// The groups that own these nodes, sorted, each once. Never 0, which CDI consumers ignore.
    pub additional_gids: Vec<u32>,
}

/// Why GPUs cannot be given to a container.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EditsError {
    /// A node is missing, or the kernel does not tell about it.
    #[error("cannot stat {}, a device node of GPU {index} ({pci})", path.display())]
    Stat {
        /// Where the node was looked for.
        path: PathBuf,
        /// The GPU's number.
        index: usize,
        /// The GPU's address.
        pci: PciAddress,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something else has the node's name.
    #[error("{} is not a character device; GPU {index} ({pci}) needs one there", path.display())]
    NotADevice {
        /// What should be a node.
        path: PathBuf,
        /// The GPU's number.
        index: usize,
        /// The GPU's address.
        pci: PciAddress,
    },
    /// The kernel shows no DRM node for a GPU, or no render node for one that computes.
    #[error("GPU {index} ({pci}) has no DRM node that a container could use")]
    NoNode {
        /// The GPU's number.
        index: usize,
        /// The GPU's address.
        pci: PciAddress,
    },
}

impl EditsError {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Stat { path, source, .. } if source.kind() == io::ErrorKind::NotFound => {
                Some(if path.ends_with("dev/kfd") {
                    "load the driver (`modprobe amdgpu`) or let udev make the node \
                     (`udevadm trigger`); in a container, pass /dev/kfd in"
                        .into()
                } else {
                    "right after a hotplug or a partition switch, try again in a moment; else let \
                     udev make the node (`udevadm trigger`); in a container, pass /dev/dri in"
                        .into()
                })
            }
            Self::Stat { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Some("run as root".into())
            }
            Self::Stat { .. } => None,
            Self::NotADevice { path, .. } => Some(format!(
                "remove {} and let udev make the node (`udevadm trigger`)",
                path.display()
            )),
            Self::NoNode { .. } => Some(
                "the driver is still setting it up, or failed to: try again in a moment, then see \
                 `dmesg | grep amdgpu`"
                    .into(),
            ),
        }
    }
}

/// The changes to a container that give it `gpus`, with the nodes' numbers, modes and owners as they
/// are on `host` now. A GPU named twice counts once.
///
/// # Errors
/// [`EditsError`] names the first node that is missing or is no character device.
pub fn container_edits<'a>(
    host: &HostRoot,
    gpus: impl IntoIterator<Item = &'a Gpu>,
) -> Result<ContainerEdits, EditsError> {
    let mut dirs = NodeDirs::of(host);
    let nodes = device_paths(gpus)?
        .into_iter()
        .map(|(path, gpu)| device_node(&mut dirs, path, gpu))
        .collect::<Result<_, _>>()?;
    Ok(ContainerEdits::of_nodes(nodes))
}

impl ContainerEdits {
    /// The edits that add these nodes, and the groups that own them.
    pub(crate) fn of_nodes(device_nodes: Vec<DeviceNode>) -> Self {
        let gids: BTreeSet<u32> = device_nodes
            .iter()
            .map(|node| node.gid)
            .filter(|&gid| gid != 0)
            .collect();
        Self {
            device_nodes,
            additional_gids: gids.into_iter().collect(),
        }
    }
}

/// The device nodes that `gpus` come with, each once and with a GPU that needs it, in the order of
/// [`ContainerEdits::device_nodes`]. Whether they are there is not looked at.
///
/// # Errors
/// [`EditsError::NoNode`] for a GPU that has no node a container could use.
pub fn device_paths<'a>(
    gpus: impl IntoIterator<Item = &'a Gpu>,
) -> Result<Vec<(&'a Path, &'a Gpu)>, EditsError> {
    let gpus: Vec<&Gpu> = gpus.into_iter().collect();
    let mut paths = Vec::with_capacity(1 + 2 * gpus.len());
    let mut seen = HashSet::new();
    if let Some(&gpu) = gpus.iter().find(|gpu| !gpu.graphics_only()) {
        paths.push((Path::new(KFD), gpu));
    }
    for gpu in gpus {
        let ready = gpu.render.is_some() || gpu.graphics_only() && gpu.card.is_some();
        if !ready {
            return Err(EditsError::NoNode {
                index: gpu.index,
                pci: gpu.pci,
            });
        }
        for path in [&gpu.card, &gpu.render].into_iter().flatten() {
            if seen.insert(path.as_os_str()) {
                paths.push((path, gpu));
            }
        }
    }
    Ok(paths)
}

/// The directories of device nodes, each walked to once while nodes of it follow each other.
struct NodeDirs<'h> {
    host: &'h HostRoot,
    last: Option<(PathBuf, OwnedFd)>,
}

impl<'h> NodeDirs<'h> {
    fn of(host: &'h HostRoot) -> Self {
        Self { host, last: None }
    }

    /// As stat(2) of the node `on_host`.
    fn stat(&mut self, on_host: &Path) -> io::Result<Stat> {
        let path = self.host.resolve(on_host)?;
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(rustix::fs::stat(&path)?);
        };
        let opened = match self.last.take() {
            Some(last) if last.0 == dir => last,
            _ => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                (dir.to_owned(), open(dir, flags, Mode::empty())?)
            }
        };
        let (_, dir) = self.last.insert(opened);
        Ok(statat(dir, name, AtFlags::empty())?)
    }
}

fn device_node(
    dirs: &mut NodeDirs<'_>,
    on_host: &Path,
    gpu: &Gpu,
) -> Result<DeviceNode, EditsError> {
    let host = dirs.host;
    let path = || host.join(on_host);
    let (index, pci) = (gpu.index, gpu.pci);
    match dirs.stat(on_host) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode).is_char_device() => {
            Ok(from_stat(on_host, &stat))
        }
        Ok(_) => Err(EditsError::NotADevice {
            path: path(),
            index,
            pci,
        }),
        Err(source) => Err(EditsError::Stat {
            path: path(),
            index,
            pci,
            source,
        }),
    }
}

fn from_stat(on_host: &Path, stat: &Stat) -> DeviceNode {
    DeviceNode {
        path: on_host.to_owned(),
        major: rustix::fs::major(stat.st_rdev),
        minor: rustix::fs::minor(stat.st_rdev),
        mode: stat.st_mode & 0o777,
        uid: stat.st_uid,
        gid: stat.st_gid,
    }
}

#[cfg(test)]
mod tests;
