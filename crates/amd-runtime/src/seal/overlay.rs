//! A read-only view of the binary: a detached overlay mount with lower layers only.
//!
//! Unlike with a read-only bind mount there is nothing behind it that could be made writable again:
//! the superblock has no upper layer, so the kernel refuses to remount it for writing, whoever
//! asks.

use std::ffi::{CString, OsStr};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::StepError;
use super::exe::{self, Executable};
use crate::mount_api;

/// Opens the running executable through a new overlay mount. Returns it (O_PATH) and the id of the
/// mount, which lives as long as the file is open or executed.
///
/// The second layer, `scratch_dir`, is there because overlayfs wants two where none is an upper
/// one. The binary's directory is above it, so a file of the same name in it is hidden.
pub(super) fn open(exe: &Executable, scratch_dir: &Path) -> Result<(OwnedFd, u64), StepError> {
    let invalid = |message: &'static str| io::Error::other(message);
    let path = Executable::path().map_err(StepError::at("readlink /proc/self/exe"))?;
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(StepError::at("readlink /proc/self/exe")(invalid(
            "not a path to a file",
        )));
    };
    let mount = mount(&lower_dirs(dir, scratch_dir))?;
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(&mount, name, flags, Mode::empty())
        .map(File::from)
        .map_err(StepError::at("open the binary on the overlay mount"))?;
    let metadata = file
        .metadata()
        .map_err(StepError::at("stat the binary on the overlay mount"))?;
    if !same_file(&metadata, &exe.metadata) {
        // Replaced while it was running, or hidden by another mount.
        return Err(StepError::at("open the binary on the overlay mount")(
            invalid("not the running one"),
        ));
    }
    let mount_id = exe::mount_id(file.as_fd())
        .and_then(|id| id.ok_or_else(|| invalid("the kernel does not tell mount ids")))
        .map_err(StepError::at("statx the binary on the overlay mount"))?;
    Ok((file.into(), mount_id))
}

/// Whether a file on an overlay is the lower one. Overlayfs passes on everything but the device.
fn same_file(upper: &Metadata, lower: &Metadata) -> bool {
    let identity = |file: &Metadata| {
        (
            (file.ino(), file.size(), file.mode(), file.uid(), file.gid()),
            (
                file.mtime(),
                file.mtime_nsec(),
                file.ctime(),
                file.ctime_nsec(),
            ),
        )
    };
    identity(upper) == identity(lower)
}

/// The value of `lowerdir` for these layers, the upper one first.
fn lower_dirs(dir: &Path, scratch_dir: &Path) -> Vec<u8> {
    [dir, scratch_dir]
        .map(|dir| escape_layer(dir.as_os_str()))
        .join(&b':')
}

/// Escapes what separates the layers of `lowerdir`.
fn escape_layer(dir: &OsStr) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(dir.len());
    for &byte in dir.as_bytes() {
        if matches!(byte, b'\\' | b':') {
            escaped.push(b'\\');
        }
        escaped.push(byte);
    }
    escaped
}

/// Makes a detached overlay mount of the layers in `lower_dirs`.
fn mount(lower_dirs: &[u8]) -> Result<OwnedFd, StepError> {
    let lower_dirs = CString::new(lower_dirs).map_err(StepError::at("fsconfig lowerdir"))?;
    let context = mount_api::fsopen(c"overlay").map_err(StepError::at("fsopen overlay"))?;
    mount_api::set_string(context.as_fd(), c"lowerdir", &lower_dirs)
        .map_err(StepError::at("fsconfig lowerdir"))?;
    // Inode numbers of layers on two file systems need no mapping here, and some kernels log that
    // they cannot do it. Kernels without the option have nothing to switch off.
    let _ = mount_api::set_string(context.as_fd(), c"xino", c"off");
    mount_api::create(context.as_fd()).map_err(StepError::at("fsconfig create"))?;
    let attributes = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    mount_api::fsmount(context.as_fd(), attributes).map_err(StepError::at("fsmount"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::AsRawFd;

    use nix::unistd::Uid;

    use super::*;

    fn root() -> bool {
        let root = Uid::effective().is_root();
        if !root {
            println!("skipped: needs root");
        }
        root
    }

    #[test]
    fn the_binary_can_be_read_and_not_written_through_the_mount() {
        if !root() {
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let exe = Executable::running().unwrap();
        let (file, mount_id) = open(&exe, scratch.path()).unwrap();
        assert_ne!(Some(mount_id), exe.facts().unwrap().mount_id);

        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        assert!(fs::read(&path).unwrap() == fs::read("/proc/self/exe").unwrap());
        let error = File::options().write(true).open(&path).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EROFS));

        let seen = Executable {
            metadata: file_metadata(&path),
            file: File::open(&path).unwrap(),
        };
        let facts = seen.facts().unwrap();
        assert!(facts.read_only_overlay);
        assert_eq!(facts.mount_id, Some(mount_id));
    }

    #[test]
    fn the_mount_is_in_no_mount_table() {
        if !root() {
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let (_file, mount_id) = open(&Executable::running().unwrap(), scratch.path()).unwrap();
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(
            !table
                .lines()
                .any(|line| line.starts_with(&format!("{mount_id} ")))
        );
    }

    #[test]
    fn a_binary_that_was_replaced_is_not_taken_for_the_running_one() {
        if !root() {
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        let running = Executable::running().unwrap();
        // The path leads to the test binary, while another file is said to be running.
        let other = File::open("/proc/self/status").unwrap();
        let replaced = Executable {
            metadata: other.metadata().unwrap(),
            file: running.file,
        };
        let error = open(&replaced, scratch.path()).unwrap_err();
        assert!(
            error.to_string().ends_with("not the running one"),
            "{error}"
        );
    }

    #[test]
    fn without_a_scratch_directory_there_is_no_mount() {
        if !root() {
            return;
        }
        let error = open(&Executable::running().unwrap(), Path::new("/nonexistent")).unwrap_err();
        assert_eq!(error.errno(), Some(libc::ENOENT));
    }

    fn file_metadata(path: &str) -> Metadata {
        fs::metadata(path).unwrap()
    }

    #[test]
    fn separators_in_a_path_are_escaped() {
        let layers = lower_dirs(Path::new(r"/opt/a:b\c"), Path::new("/run/x"));
        assert_eq!(String::from_utf8(layers).unwrap(), r"/opt/a\:b\\c:/run/x");
    }
}
