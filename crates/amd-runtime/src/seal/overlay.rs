//! A read-only view of the binary: a detached overlay mount with lower layers only.
//!
//! Unlike with a read-only bind mount there is nothing behind it that could be made writable again:
//! the superblock has no upper layer, so the kernel refuses to remount it for writing, whoever
//! asks. fsopen(2) and fsmount(2) are Linux 5.2.

use std::ffi::{CStr, CString, OsStr};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::ptr;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::StepError;
use super::exe::{self, Executable};

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
    let context = fsopen(c"overlay").map_err(StepError::at("fsopen overlay"))?;
    set_string(context.as_fd(), c"lowerdir", &lower_dirs)
        .map_err(StepError::at("fsconfig lowerdir"))?;
    // Inode numbers of layers on two file systems need no mapping here, and some kernels log that
    // they cannot do it. Kernels without the option have nothing to switch off.
    let _ = set_string(context.as_fd(), c"xino", c"off");
    create(context.as_fd()).map_err(StepError::at("fsconfig create"))?;
    fsmount(context.as_fd()).map_err(StepError::at("fsmount"))
}

fn fsopen(file_system: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string.
    #[allow(unsafe_code)]
    let result =
        unsafe { libc::syscall(libc::SYS_fsopen, file_system.as_ptr(), libc::FSOPEN_CLOEXEC) };
    new_fd(result)
}

fn set_string(context: BorrowedFd<'_>, key: &CStr, value: &CStr) -> io::Result<()> {
    // SAFETY: key and value are C strings.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            libc::FSCONFIG_SET_STRING,
            key.as_ptr(),
            value.as_ptr(),
            0,
        )
    };
    done(result)
}

fn create(context: BorrowedFd<'_>) -> io::Result<()> {
    let none = ptr::null::<libc::c_char>();
    // SAFETY: this command takes neither key nor value.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            libc::FSCONFIG_CMD_CREATE,
            none,
            none,
            0,
        )
    };
    done(result)
}

fn fsmount(context: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attributes = libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    // SAFETY: numbers only.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::syscall(
            libc::SYS_fsmount,
            context.as_raw_fd(),
            libc::FSMOUNT_CLOEXEC,
            attributes as libc::c_uint,
        )
    };
    new_fd(result)
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Takes the file descriptor that a system call has just returned.
fn new_fd(result: libc::c_long) -> io::Result<OwnedFd> {
    done(result)?;
    let fd = libc::c_int::try_from(result).map_err(io::Error::other)?;
    // SAFETY: it is new and nobody else's.
    #[allow(unsafe_code)]
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use std::fs;

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
