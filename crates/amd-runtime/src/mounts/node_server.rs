//! Device nodes for containers with a user namespace, made with the rights of the host.
//!
//! In a user namespace nobody makes device nodes, and those of the host, bound there, have an owner
//! and a group that it does not map: `nobody`, who lets in whom the mode lets in (runc and crun bind
//! them). Who serves mount sources has the host's rights: it makes the nodes in a file system
//! of the host, with the owner that the spec names as the container's user namespace maps it.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::mount::{MntFlags, umount2};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, makedev, mknodat};
use nix::unistd::{Gid, Pid, Uid, fchownat};

use super::attach::new_mount;
use super::plan::Device;
use crate::mount_api;
use crate::path_fd;
use crate::rootless::outside_of;

/// What is covered for a moment: before Linux 6.15 a detached mount has no copies. All hosts have
/// it. The mount namespace is the container's, from which nothing propagates to the host's, and the
/// process that asks waits meanwhile.
const COVERED: &str = "/dev";

/// A device node of its own for the container with init `init`, as a detached mount.
///
/// # Errors
/// `EPERM` where this process may make none, or the owner is not mapped; otherwise the kernel's.
pub fn make(device: &Device, label: Option<&str>, init: Pid) -> io::Result<OwnedFd> {
    let ids = |file: &str| fs::read_to_string(format!("/proc/{init}/{file}"));
    let unmapped = || io::Error::from(Errno::EPERM);
    let uid = outside_of(&ids("uid_map")?, device.uid).ok_or_else(unmapped)?;
    let gid = outside_of(&ids("gid_map")?, device.gid).ok_or_else(unmapped)?;

    let mut options = vec!["mode=0700".to_owned(), "nr_inodes=2".to_owned()];
    options.extend(super::attach::label_option(label));
    let flags = libc::MS_NOSUID | libc::MS_NOEXEC;
    let made = new_mount("tmpfs", Path::new("tmpfs"), flags, &options).map_err(io::Error::other)?;
    let kind = SFlag::from_bits_truncate(device.mode) & SFlag::S_IFMT;
    let mode = Mode::from_bits_truncate(device.mode & 0o7777);
    let name = c"node";
    mknodat(
        &made,
        name,
        kind,
        Mode::empty(),
        makedev(device.major, device.minor),
    )?;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    fchownat(
        &made,
        name,
        Some(uid),
        Some(gid),
        AtFlags::AT_SYMLINK_NOFOLLOW,
    )?;
    fchmodat(&made, name, mode, FchmodatFlags::FollowSymlink)?;

    let covered = path_fd::find(COVERED, OFlag::O_DIRECTORY)?;
    mount_api::attach(made.as_fd(), covered.as_fd())?;
    let node = mount_api::clone_tree(made.as_fd(), name, false);
    umount2(COVERED, MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW)?;
    node
}
