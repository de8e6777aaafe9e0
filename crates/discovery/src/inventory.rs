use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Dir, Mode, OFlags, open, readlinkat};

use crate::attribute;
use crate::drm::{DrmNodes, NodeName};
use crate::join::{Board, KfdNode, KfdTopology, join};
use crate::topology::{parse_gpu_id, parse_memory_size, parse_properties};
use crate::{DiscoveryError, Gpu, HostRoot, PciAddress, Uuid};

const DRIVER: &str = "/sys/bus/pci/drivers/amdgpu";
const DRM_CLASS: &str = "/sys/class/drm";
const KFD_NODES: &str = "/sys/class/kfd/kfd/topology/nodes";

/// The AMD GPUs of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The GPUs in the order in which users count them: by PCI domain, bus, device, function, then
    /// partition, then render minor, all by number. `gpus[i].index == i`.
    pub gpus: Vec<Gpu>,
    /// How many GPUs are not among them, because KFD hides them from this process: its device cgroup
    /// denies their render nodes, as in a container. The others are then counted otherwise than on
    /// the host. Processors that KFD hides as well are none.
    pub hidden: usize,
}

impl Inventory {
    /// Lists the GPUs that are bound to amdgpu on `host`, be the driver a module or built in.
    ///
    /// No such GPU is no error. A GPU without a KFD node is listed as graphics only. In a container,
    /// GPUs that its device cgroup denies are left out, as far as KFD tells.
    ///
    /// # Errors
    /// [`DiscoveryError`] where there is no sysfs, or where it cannot be read.
    pub fn discover(host: &HostRoot) -> Result<Self, DiscoveryError> {
        Self::read(host, Depth::Everything)
    }

    /// As [`discover`](Self::discover), with only what it takes to tell GPUs apart and to give them
    /// to a container: `name`, `memory_bytes`, `numa_node`, `device_id` and the memory mode of
    /// partitions stay `None`, and mostly the `gpu_id`. That is half of the files.
    ///
    /// # Errors
    /// As [`discover`](Self::discover).
    pub fn identify(host: &HostRoot) -> Result<Self, DiscoveryError> {
        Self::read(host, Depth::Identity)
    }

    fn read(host: &HostRoot, depth: Depth) -> Result<Self, DiscoveryError> {
        let boards = read_boards(host, depth)?;
        if boards.is_empty() {
            return Ok(Self::default());
        }
        let kfd_nodes = list(host, KFD_NODES)?;
        let kfd = kfd_nodes
            .as_ref()
            .map(|nodes| read_topology(nodes, depth))
            .transpose()?
            .unwrap_or_default();
        let mut gpus = join(&boards, &kfd, &read_drm_nodes(host)?);
        match (depth, kfd_nodes) {
            (Depth::Identity, _) => fill_in_uuids(host, &mut gpus),
            (Depth::Everything, Some(nodes)) => fill_in_partition_memory(&mut gpus, &nodes.path),
            (Depth::Everything, None) => {}
        }
        Ok(Self {
            gpus,
            hidden: kfd.denied,
        })
    }
}

/// How much to read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    Identity,
    Everything,
}

/// A directory as this process finds it, open, and the names in it. What is in it is read from there:
/// the way to it is long, and partly links.
struct Directory {
    path: PathBuf,
    opened: OwnedFd,
    names: Vec<String>,
}

/// Lists the directory `on_host`, a path on the host; `None` where there is none.
fn list(host: &HostRoot, on_host: &str) -> Result<Option<Directory>, DiscoveryError> {
    let directory = host.resolve(on_host).and_then(|path| {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let opened = open(&path, flags, Mode::empty())?;
        let names = Dir::read_from(&opened)?
            // A name that is not UTF-8 is none that the kernel gives to what is looked for here.
            .map(|entry| Ok(entry?.file_name().to_str().unwrap_or_default().to_owned()))
            .collect::<io::Result<_>>()?;
        Ok(Directory {
            path,
            opened,
            names,
        })
    });
    match directory {
        Ok(directory) => Ok(Some(directory)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(DiscoveryError::Read {
            path: host.join(on_host),
            source,
        }),
    }
}

fn read_boards(host: &HostRoot, depth: Depth) -> Result<Vec<Board>, DiscoveryError> {
    let Some(driver) = list(host, DRIVER)? else {
        let bus = host.join("/sys/bus");
        return if bus.exists() {
            Ok(Vec::new())
        } else {
            Err(DiscoveryError::NoSysfs { path: bus })
        };
    };
    // Besides the devices there are `bind`, `new_id`, `module` and the like.
    let addresses = driver
        .names
        .iter()
        .filter_map(|name| name.parse::<PciAddress>().ok());
    Ok(addresses.map(|pci| read_board(host, pci, depth)).collect())
}

/// The directory of a board, in which its attributes are.
fn board_dir(host: &HostRoot, pci: PciAddress) -> PathBuf {
    let link = format!("{DRIVER}/{pci}");
    host.resolve(&link).unwrap_or_else(|_| host.join(&link))
}

fn read_uuid(device: &Path) -> Option<Uuid> {
    attribute::read_text(device, "unique_id")?.parse().ok()
}

fn read_board(host: &HostRoot, pci: PciAddress, depth: Depth) -> Board {
    let device = board_dir(host, pci);
    let identity = Board {
        compute_mode: attribute::read_text(&device, "current_compute_partition"),
        ..Board::at(pci)
    };
    match depth {
        Depth::Identity => identity,
        Depth::Everything => Board {
            uuid: read_uuid(&device),
            device_id: attribute::read_text(&device, "device")
                .as_deref()
                .and_then(parse_pci_id),
            name: attribute::read_text(&device, "product_name"),
            memory_bytes: attribute::read_number(&device, "mem_info_vram_total"),
            numa_node: attribute::read_number(&device, "numa_node"),
            memory_mode: attribute::read_text(&device, "current_memory_partition"),
            ..identity
        },
    }
}

/// A PCI vendor or device id as sysfs writes it: `0x74a1`.
fn parse_pci_id(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn read_drm_nodes(host: &HostRoot) -> Result<DrmNodes, DiscoveryError> {
    let mut nodes = DrmNodes::default();
    let Some(class) = list(host, DRM_CLASS)? else {
        return Ok(nodes);
    };
    for name in &class.names {
        if let Some(node) = NodeName::parse(name)
            && let Ok(target) = readlinkat(&class.opened, name, Vec::new())
        {
            nodes.insert(node, Path::new(OsStr::from_bytes(target.to_bytes())));
        }
    }
    Ok(nodes)
}

/// The GPU nodes in `directory`, that of KFD's nodes.
fn read_topology(directory: &Directory, depth: Depth) -> Result<KfdTopology, DiscoveryError> {
    let mut topology = KfdTopology::default();
    for name in &directory.names {
        let Ok(node_id) = name.parse() else { continue };
        match read_node(directory, name, node_id, depth) {
            Ok(node) => topology.nodes.extend(node),
            Err(ReadError { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
                topology.denied += 1;
            }
            // Nodes go away at a partition switch.
            Err(ReadError { source, .. }) if is_gone(&source) => {}
            Err(ReadError { path, source }) => return Err(DiscoveryError::Read { path, source }),
        }
    }
    Ok(topology)
}

/// Whether a file is not there, or on its way out: what sysfs has of a device that is being removed
/// cannot be opened or read any more (`kernfs_fop_open`, `kernfs_file_read_iter`: ENODEV).
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

struct ReadError {
    path: PathBuf,
    source: io::Error,
}

/// The GPU node `name` in `directory`, `None` for a CPU.
fn read_node(
    directory: &Directory,
    name: &str,
    node_id: u32,
    depth: Depth,
) -> Result<Option<KfdNode>, ReadError> {
    let read = |attribute| {
        let below = format!("{name}/{attribute}");
        attribute::read_at(&directory.opened, &below).map_err(|source| ReadError {
            path: directory.path.join(below),
            source,
        })
    };
    let properties = parse_properties(&read("properties")?);
    // A node with a render minor is none of a CPU, whatever its id: both depths count the same.
    let gpu_id = match (depth, properties.render_minor) {
        (Depth::Identity, Some(_)) => None,
        (Depth::Everything, Some(_)) => match read("gpu_id") {
            Ok(id) => parse_gpu_id(&id),
            Err(ReadError { source, .. }) if is_gone(&source) => None,
            Err(error) => return Err(error),
        },
        (_, None) => match parse_gpu_id(&read("gpu_id")?) {
            Some(id) => Some(id),
            None => return Ok(None),
        },
    };
    Ok(Some(KfdNode {
        node_id,
        gpu_id,
        properties,
    }))
}

/// Gives the GPUs of which KFD tells no UUID that of their board.
fn fill_in_uuids(host: &HostRoot, gpus: &mut [Gpu]) {
    for board in gpus.chunk_by_mut(|one, other| one.pci == other.pci) {
        if board.iter().all(|gpu| gpu.uuid.is_some()) {
            continue;
        }
        let uuid = read_uuid(&board_dir(host, board[0].pci));
        for gpu in board {
            gpu.uuid = gpu.uuid.or(uuid);
        }
    }
}

/// Replaces the board's memory by the partition's share where a board has several partitions.
fn fill_in_partition_memory(gpus: &mut [Gpu], topology: &Path) {
    for board in gpus.chunk_by_mut(|one, other| one.pci == other.pci) {
        if board.len() < 2 {
            continue;
        }
        for gpu in board {
            gpu.memory_bytes = gpu.compute.as_ref().and_then(|node| {
                let bank = topology.join(format!("{}/mem_banks/0/properties", node.node_id));
                parse_memory_size(&attribute::read(&bank).ok()?)
            });
        }
    }
}

#[cfg(test)]
mod tests;
