//! Mounts that become read-only, read-only paths, masked paths.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::stat::{fstat, major, minor};

use super::attach::{label_option, new_mount};
use super::error::{MountError, Result, Step, at};
use super::plan::clean;
use super::root::{Root, is_directory};
use crate::mount_api::{self, MountAttr};

/// Makes a mount read-only that had to be writable until now. One that a later mount has
/// covered is out of reach.
///
/// # Errors
/// Names the mount.
pub fn make_read_only(root: &Root, mount: &Path) -> Result<()> {
    let what = || at("make read-only", mount);
    match existing(root, mount).step(what)? {
        Some(target) => read_only(target.as_fd()).step(what),
        None => Ok(()),
    }
}

/// Puts a read-only view of itself on each path that exists. Flags that it has otherwise
/// stay: libcontainer would add `nosuid`, `nodev` and `noexec`, on /usr as well as on
/// /proc/sys.
///
/// # Errors
/// Names the first path that cannot be protected.
pub fn read_only_paths(root: &Root, paths: &[PathBuf]) -> Result<()> {
    for path in paths {
        let what = || at("make read-only", path);
        let Some(target) = existing(root, path).step(what)? else {
            continue;
        };
        let view = mount_api::clone_tree(target.as_fd(), c"", true).step(what)?;
        read_only(view.as_fd()).step(what)?;
        mount_api::attach(view.as_fd(), target.as_fd()).step(what)?;
    }
    Ok(())
}

/// Hides each path that exists: a file below the container's /dev/null, a directory below
/// an empty, read-only tmpfs, which all of them share.
///
/// # Errors
/// Names the first path that cannot be hidden.
pub fn mask_paths(root: &Root, paths: &[PathBuf], label: Option<&str>) -> Result<()> {
    let mut masked = HashSet::new();
    let mut null = None;
    let mut empty: Option<OwnedFd> = None;
    for path in paths {
        let what = || at("can't mask path", path);
        let Some(target) = existing(root, path).step(what)? else {
            continue;
        };
        if !masked.insert(clean(path)) {
            continue;
        }
        let source = if !is_directory(target.as_fd()).step(what)? {
            get_or_make(&mut null, || dev_null(root))?
        } else if let Some(empty) = &empty {
            empty.as_fd()
        } else {
            // Copied from where it is attached: before Linux 6.15 a detached mount has no copies.
            let first = empty.insert(empty_directory(label)?);
            mount_api::attach(first.as_fd(), target.as_fd()).step(what)?;
            continue;
        };
        let mask = mount_api::clone_tree(source, c"", false).step(what)?;
        mount_api::attach(mask.as_fd(), target.as_fd()).step(what)?;
    }
    Ok(())
}

/// Sees to it that the container has a /dev/null, and that it is one: libcontainer opens it, and
/// would wait for ever where it is a FIFO.
///
/// # Errors
/// Where it is missing, or something else.
pub fn must_have_dev_null(root: &Root) -> Result<()> {
    dev_null(root).map(drop)
}

fn get_or_make<'o>(
    one: &'o mut Option<OwnedFd>,
    make: impl FnOnce() -> Result<OwnedFd>,
) -> Result<BorrowedFd<'o>> {
    let made = match one.take() {
        Some(made) => made,
        None => make()?,
    };
    let made: &OwnedFd = one.insert(made);
    Ok(made.as_fd())
}

fn existing(root: &Root, path: &Path) -> std::io::Result<Option<OwnedFd>> {
    match root.find(path) {
        Err(err) if err.raw_os_error() == Some(libc::ENOENT) => Ok(None),
        found => found.map(Some),
    }
}

fn read_only(mount: BorrowedFd<'_>) -> std::io::Result<()> {
    let attributes = MountAttr {
        set: libc::MOUNT_ATTR_RDONLY,
        ..MountAttr::default()
    };
    mount_api::set_attributes(mount, false, &attributes)
}

fn empty_directory(label: Option<&str>) -> Result<OwnedFd> {
    let tmpfs = |inodes: &str| {
        let mut data = vec!["nr_blocks=1".to_owned(), format!("nr_inodes={inodes}")];
        data.extend(label_option(label));
        new_mount("tmpfs", Path::new("tmpfs"), libc::MS_RDONLY, &data)
    };
    // Some kernels want an inode more.
    tmpfs("1").or_else(|_| tmpfs("2"))
}

/// The container's own /dev/null, which must be one; not opened but found (`O_PATH`).
///
/// # Errors
/// Where it is missing, or something else.
pub fn dev_null(root: &Root) -> Result<OwnedFd> {
    let what = || "container's /dev/null".to_owned();
    let null = root.find(Path::new("/dev/null")).step(what)?;
    let stat = fstat(&null).step(what)?;
    let is_char = stat.st_mode & libc::S_IFMT == libc::S_IFCHR;
    if !is_char || (major(stat.st_rdev), minor(stat.st_rdev)) != (1, 3) {
        return Err(MountError::Refused(
            "container's /dev/null is invalid".into(),
        ));
    }
    Ok(null)
}
