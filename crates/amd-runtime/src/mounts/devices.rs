//! Device nodes and the usual links in the container's /dev.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat, makedev, mknodat};
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, symlinkat, unlinkat};

use super::error::{MountError, Result, Step, at};
use super::plan::Device;
use super::root::Root;
use super::sources::{Source, Sources};
use crate::mount_api;

/// Links that programs expect (OCI config-linux.md, "Dev symbolic links").
const LINKS: [(&str, &str); 4] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// Makes the nodes and the links. Where nodes cannot be made, in a user namespace, they are
/// bind mounts of the host's.
///
/// # Errors
/// Names the first that cannot be made.
pub fn populate(
    root: &Root,
    sources: &Sources,
    devices: &[Device],
    user_namespace: bool,
) -> Result<()> {
    for device in devices {
        let (dir, name) = root
            .parent(&device.path)
            .step(|| at("make the directory of", &device.path))?;
        let made = if user_namespace {
            Err(Errno::EPERM.into())
        } else {
            make(&dir, name, device)
        };
        match made {
            Err(err) if err.raw_os_error() == Some(libc::EPERM) => {
                bind(&dir, name, sources, device)?;
            }
            made => made.step(|| at("create device node", &device.path))?,
        }
    }
    let ptmx = Path::new("/dev/ptmx");
    let (dev, name) = root.parent(ptmx).step(|| at("make", ptmx))?;
    match unlinkat(&dev, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => {}
        Err(errno) => return Err(errno).step(|| at("replace", ptmx)),
    }
    link(root, ptmx, "pts/ptmx")?;
    for (path, target) in LINKS {
        link(root, Path::new(path), target)?;
    }
    if Path::new("/proc/kcore").exists() {
        link(root, Path::new("/dev/core"), "/proc/kcore")?;
    }
    Ok(())
}

/// Puts the container's /dev/null where its terminal will be, in a /dev that becomes
/// read-only before: libcontainer opens what is at /dev/console for writing, which a file
/// would refuse then, and covers it.
///
/// # Errors
/// Where it cannot be put there.
pub fn prepare_console(root: &Root) -> Result<()> {
    let (console, null) = (Path::new("/dev/console"), Path::new("/dev/null"));
    let what = || at("make", console);
    let null = root.find(null).step(what)?;
    let console = root.file(console).step(what)?;
    let node = mount_api::clone_tree(null.as_fd(), c"", false).step(what)?;
    mount_api::attach(node.as_fd(), console.as_fd()).step(what)
}

fn link(root: &Root, path: &Path, target: &str) -> Result<()> {
    let (dir, name) = root.parent(path).step(|| at("make", path))?;
    match symlinkat(target, &dir, name) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(errno).step(|| at("link", path)),
    }
}

/// Makes a node, and gives it its owner. One that is there already stays, as with runc;
/// that the node of a GPU is the GPU's is looked at later (`granted_nodes`).
fn make(dir: &OwnedFd, name: &OsStr, device: &Device) -> io::Result<()> {
    let kind = SFlag::from_bits_truncate(device.mode) & SFlag::S_IFMT;
    let mode = Mode::from_bits_truncate(device.mode & 0o7777);
    // A FIFO has none, whatever the spec says.
    let number = match kind {
        SFlag::S_IFIFO => 0,
        _ => makedev(device.major, device.minor),
    };
    match mknodat(dir, name, kind, mode, number) {
        Err(Errno::EEXIST) => return Ok(()),
        made => made?,
    }
    let node = openat(
        dir,
        name,
        OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    let stat = fstat(&node)?;
    if stat.st_mode & SFlag::S_IFMT.bits() != kind.bits() || stat.st_rdev != number {
        return Err(io::Error::other("another file has taken its place"));
    }
    let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
    fchownat(&node, "", Some(uid), Some(gid), AtFlags::AT_EMPTY_PATH)?;
    Ok(())
}

fn bind(dir: &OwnedFd, name: &OsStr, sources: &Sources, device: &Device) -> Result<()> {
    let source = Source {
        path: device.path.clone(),
        recursive: false,
        id_map: None,
    };
    let node = sources.open(&source)?;
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
