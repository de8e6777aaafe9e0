//! What checks see of a host.

use std::cell::OnceCell;
use std::env;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use discovery::{DiscoveryError, HostRoot, Inventory, PciAddress};

use super::CouldNotRun;
use crate::cdi::check::{Installed, installed};

const PCI_DEVICES: &str = "/sys/bus/pci/devices";

/// Where daemons are that a user's PATH may not name.
const SYSTEM_DIRS: [&str; 6] = [
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
];

/// A host, read only. Paths are those on the host.
#[derive(Debug)]
pub struct Host {
    root: HostRoot,
    inventory: OnceCell<Result<Inventory, CouldNotRun>>,
    boards: OnceCell<Result<Vec<Board>, CouldNotRun>>,
}

/// An AMD GPU on the PCI bus, whatever driver holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Board {
    pub(super) address: PciAddress,
    /// The driver's name, None for none.
    pub(super) driver: Option<String>,
}

impl Host {
    /// The host at `root`.
    pub fn new(root: HostRoot) -> Self {
        Self {
            root,
            inventory: OnceCell::new(),
            boards: OnceCell::new(),
        }
    }

    pub(super) fn root(&self) -> &HostRoot {
        &self.root
    }

    /// The GPUs that amdgpu drives.
    pub(super) fn inventory(&self) -> Result<&Inventory, CouldNotRun> {
        let read = || Ok(Inventory::identify(&self.root)?);
        self.inventory
            .get_or_init(read)
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The AMD GPUs on the PCI bus, by address.
    pub(super) fn boards(&self) -> Result<&[Board], CouldNotRun> {
        self.boards
            .get_or_init(|| self.read_boards())
            .as_deref()
            .map_err(Clone::clone)
    }

    /// The CDI specs where engines look for them.
    pub(super) fn specs(&self) -> Result<Installed, CouldNotRun> {
        installed(&self.root).map_err(|error| CouldNotRun::new(error.to_string(), None))
    }

    fn read_boards(&self) -> Result<Vec<Board>, CouldNotRun> {
        if !self.has("/sys/bus")? {
            // Without sysfs, finding no GPU would mean nothing.
            let path = self.root.join("/sys/bus");
            return Err(DiscoveryError::NoSysfs { path }.into());
        }
        let mut boards = Vec::new();
        for name in self.names(PCI_DEVICES)? {
            let Ok(address) = name.parse::<PciAddress>() else {
                continue;
            };
            let device = format!("{PCI_DEVICES}/{name}");
            let vendor = self
                .attribute(&format!("{device}/vendor"))?
                .unwrap_or_default();
            if vendor != "0x1002" {
                continue;
            }
            let class = self
                .attribute(&format!("{device}/class"))?
                .unwrap_or_default();
            if is_gpu_class(&class) {
                boards.push(Board {
                    address,
                    driver: self.link_name(&device, "driver"),
                });
            }
        }
        boards.sort_by_key(|board| board.address);
        Ok(boards)
    }

    fn link_name(&self, dir: &str, name: &str) -> Option<String> {
        let target = self.root.resolve(dir).ok()?.join(name).read_link().ok()?;
        Some(target.file_name()?.to_str()?.to_owned())
    }

    /// The text of a file, None where there is none.
    pub(super) fn text(&self, path: &str) -> Result<Option<String>, CouldNotRun> {
        let path = Path::new(path);
        let read = self.root.resolve(path).and_then(fs::read);
        let bytes = optional(path, read)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The text of an attribute in sysfs, without blanks around it and the NULs that some
    /// drivers pad it with; None where there is none.
    pub(super) fn attribute(&self, path: &str) -> Result<Option<String>, CouldNotRun> {
        let text = self.text(path)?;
        Ok(text.map(|text| {
            let end = text.find('\0').unwrap_or(text.len());
            text[..end].trim().to_owned()
        }))
    }

    /// The names in a directory, sorted; none where there is no directory.
    pub(super) fn names(&self, dir: &str) -> Result<Vec<String>, CouldNotRun> {
        let read = || {
            let entries = fs::read_dir(self.root.resolve(dir)?)?;
            entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect::<io::Result<Vec<String>>>()
        };
        let mut names = optional(Path::new(dir), read())?.unwrap_or_default();
        names.sort();
        Ok(names)
    }

    /// What the kernel tells of a file, None where there is none.
    pub(super) fn metadata(&self, path: &Path) -> Result<Option<Metadata>, CouldNotRun> {
        optional(path, self.root.resolve(path).and_then(fs::metadata))
    }

    /// Whether there is a file or directory.
    pub(super) fn has(&self, path: &str) -> Result<bool, CouldNotRun> {
        Ok(self.metadata(Path::new(path))?.is_some())
    }

    /// Whether there is a program at `path`.
    pub(super) fn is_program(&self, path: &Path) -> bool {
        let metadata = self.root.resolve(path).and_then(fs::metadata);
        metadata.is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0)
    }

    /// Where a program is in PATH, or in the directories of the system's programs.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&path)
            .chain(SYSTEM_DIRS.map(PathBuf::from))
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join(name))
            .find(|path| self.is_program(path))
    }
}

/// Display controllers and processing accelerators (PCI Code and ID Assignment, base classes
/// 03h and 12h); other functions of a board are sound, USB and bridges.
fn is_gpu_class(class: &str) -> bool {
    class.starts_with("0x03") || class.starts_with("0x12")
}

fn optional<T>(path: &Path, read: io::Result<T>) -> Result<Option<T>, CouldNotRun> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => {
            let denied = error.kind() == ErrorKind::PermissionDenied;
            Err(CouldNotRun::new(
                format!("cannot read {}: {error}", path.display()),
                denied.then(|| "run as root".to_owned()),
            ))
        }
    }
}
