//! Device nodes and the usual links in the container's /dev.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat, makedev, mknodat};
use nix::sys::statfs::{TMPFS_MAGIC, fstatfs};
use nix::unistd::{
    Gid, Uid, UnlinkatFlags, fchownat, getegid, geteuid, setfsgid, symlinkat, unlinkat,
};

use super::error::{MountError, Result, Step, at};
use super::plan::Device;
use super::root::Root;
use super::sources::{Source, Sources};
use crate::error::chain;
use crate::mount_api;

/// Links that programs expect (OCI config-linux.md, "Dev symbolic links").
const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// Makes the nodes. Where they cannot be made, in a user namespace, they are bind mounts of the
/// host's.
///
/// # Errors
/// Names the first that cannot be made.
pub fn make_nodes(
    root: &Root,
    sources: &Sources,
    devices: &[Device],
    user_namespace: bool,
    label: Option<&str>,
) -> Result<()> {
    nodes(
        &mut Parents::of(root),
        sources,
        devices,
        user_namespace,
        label,
    )
}

/// Makes the nodes, as [`make_nodes`], and the links that every container has.
///
/// # Errors
/// Names the first that cannot be made.
pub fn populate(
    root: &Root,
    sources: &Sources,
    devices: &[Device],
    user_namespace: bool,
    label: Option<&str>,
) -> Result<()> {
    let mut parents = Parents::of(root);
    nodes(&mut parents, sources, devices, user_namespace, label)?;
    links(&mut parents)
}

fn nodes(
    parents: &mut Parents<'_>,
    sources: &Sources,
    devices: &[Device],
    user_namespace: bool,
    label: Option<&str>,
) -> Result<()> {
    // By group: a process makes nodes of one group at a time.
    let mut by_group: Vec<&Device> = devices.iter().collect();
    by_group.sort_by_key(|device| device.gid);
    let mut maker = Maker::new();
    for device in by_group {
        let (parent, name) = parents
            .get(&device.path)
            .step(|| at("make the directory of", &device.path))?;
        let made = if user_namespace {
            Err(Errno::EPERM.into())
        } else {
            maker.make(parent, name, device)
        };
        match made {
            Err(err) if err.raw_os_error() == Some(libc::EPERM) => {
                let node = source(sources, device, label)?;
                bind(&parent.dir, name, node, device)?;
            }
            made => made.step(|| at("create device node", &device.path))?,
        }
    }
    Ok(())
}

fn links(parents: &mut Parents<'_>) -> Result<()> {
    let ptmx = Path::new("/dev/ptmx");
    let (dev, name) = parents.get(ptmx).step(|| at("make", ptmx))?;
    match unlinkat(&dev.dir, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno).step(|| at("replace", ptmx)),
    }
    link(parents, ptmx, "pts/ptmx")?;
    for (path, target) in LINKS {
        link(parents, Path::new(path), target)?;
    }
    if Path::new("/proc/kcore").exists() {
        link(parents, Path::new("/dev/core"), "/proc/kcore")?;
    }
    Ok(())
}

/// The directories that nodes and links go to, each walked to once. Those are few.
struct Parents<'r> {
    root: &'r Root,
    found: Vec<(PathBuf, Parent)>,
}

struct Parent {
    dir: OwnedFd,
    /// Whether a new file has the group of the process that makes it, and not the
    /// directory's: so on a tmpfs, which has no option `grpid`, without the setgid bit.
    takes_group: bool,
}

impl<'r> Parents<'r> {
    fn of(root: &'r Root) -> Self {
        Self {
            root,
            found: Vec::new(),
        }
    }

    /// The directory that a new file at `path` goes to, made where it is missing, and the
    /// name of the file.
    fn get<'p>(&mut self, path: &'p Path) -> io::Result<(&Parent, &'p OsStr)> {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Errno::EINVAL.into());
        };
        // As they are written: part by part is slower, and there are hundreds of nodes.
        let is_it = |(path, _): &(PathBuf, Parent)| path.as_os_str() == parent.as_os_str();
        let at = match self.found.iter().position(is_it) {
            Some(at) => at,
            None => {
                let opened = Parent::new(self.root.directory(parent)?)?;
                self.found.push((parent.to_owned(), opened));
                self.found.len() - 1
            }
        };
        let (_, found) = self.found.get(at).ok_or(Errno::ENOENT)?;
        Ok((found, name))
    }
}

impl Parent {
    fn new(dir: OwnedFd) -> io::Result<Self> {
        let takes_group = fstat(&dir)?.st_mode & libc::S_ISGID == 0
            && fstatfs(&dir)?.filesystem_type() == TMPFS_MAGIC;
        Ok(Self { dir, takes_group })
    }
}

fn link(parents: &mut Parents<'_>, path: &Path, target: &str) -> Result<()> {
    let (parent, name) = parents.get(path).step(|| at("make", path))?;
    match symlinkat(target, &parent.dir, name) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno).step(|| at("link", path)),
    }
}

/// Makes nodes. This process has the group of the last one as its group for files, until
/// this is dropped.
struct Maker {
    user: Uid,
    group: Option<Gid>,
}

impl Maker {
    fn new() -> Self {
        Self {
            user: geteuid(),
            group: None,
        }
    }

    /// Makes a node with its owner. One that is there already stays, as with runc; that the
    /// node of a GPU is the GPU's is looked at later (`granted_nodes`).
    fn make(&mut self, parent: &Parent, name: &OsStr, device: &Device) -> io::Result<()> {
        let kind = SFlag::from_bits_truncate(device.mode) & SFlag::S_IFMT;
        let mode = Mode::from_bits_truncate(device.mode & 0o7777);
        // A FIFO has none, whatever the spec says.
        let number = match kind {
            SFlag::S_IFIFO => 0,
            _ => makedev(device.major, device.minor),
        };
        let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
        let born_so = parent.takes_group && uid == self.user && self.become_group(gid);
        match mknodat(&parent.dir, name, kind, mode, number) {
            Err(Errno::EEXIST) => return Ok(()),
            made => made?,
        }
        if born_so {
            return Ok(());
        }
        let node = openat(
            &parent.dir,
            name,
            OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        let stat = fstat(&node)?;
        if stat.st_mode & SFlag::S_IFMT.bits() != kind.bits() || stat.st_rdev != number {
            return Err(io::Error::other("another file has taken its place"));
        }
        fchownat(&node, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH)?;
        Ok(())
    }

    /// Whether new files of this process have this group from now on. setfsgid(2) does not
    /// say whether it succeeded, but what was before.
    fn become_group(&mut self, gid: Gid) -> bool {
        if self.group != Some(gid) {
            setfsgid(gid);
            self.group = Some(setfsgid(gid));
        }
        self.group == Some(gid)
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        if self.group.is_some() {
            setfsgid(getegid());
        }
    }
}

/// What is bound where no node can be made: one that is made elsewhere, as the spec has it, or
/// the host's.
fn source(sources: &Sources, device: &Device, label: Option<&str>) -> Result<OwnedFd> {
    if device.of_spec {
        match sources.make_node(device, label) {
            Ok(node) => return Ok(node),
            Err(why) => tracing::debug!("the host's node is bound: {}", chain(&why)),
        }
    }
    sources.open(&Source {
        path: device.path.clone(),
        recursive: false,
        id_map: None,
    })
}

fn bind(dir: &OwnedFd, name: &OsStr, node: OwnedFd, device: &Device) -> Result<()> {
    let what = || at("bind device node", &device.path);
    let stat = fstat(&node).step(what)?;
    let number = makedev(device.major, device.minor);
    let is_device = stat.st_mode & libc::S_IFMT != libc::S_IFIFO;
    if is_device && stat.st_rdev != number {
        return Err(MountError::Refused(format!(
            "{}: the host's is not the device {}:{}, and in a user namespace no other can be made",
            device.path.display(),
            device.major,
            device.minor
        )));
    }
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(dir, name, flags, Mode::empty()) {
        Ok(_) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(errno).step(what),
    }
    // Not opened for reading: it may be a FIFO of the image.
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let target = openat(dir, name, flags, Mode::empty()).step(what)?;
    mount_api::attach(node.as_fd(), target.as_fd()).step(what)
}
