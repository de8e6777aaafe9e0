//! The kernel's mount API of file descriptors: its system calls, and nothing more.
//!
//! A mount is made detached, in no namespace, where nobody can reach it; it gets its
//! attributes there and is attached at a file descriptor, not at a path that could have
//! become another. fsopen(2) and its kin are Linux 5.2, mount_setattr(2) is 5.12.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use nix::unistd::read;

/// What mount_setattr(2) changes of a mount: `struct mount_attr` of <linux/mount.h>.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountAttr {
    /// `MOUNT_ATTR_*` that are set.
    pub set: u64,
    /// `MOUNT_ATTR_*` that are cleared first.
    pub clear: u64,
    /// One of `MS_PRIVATE`, `MS_SLAVE`, `MS_SHARED` and `MS_UNBINDABLE`, or 0 for none.
    pub propagation: u64,
    /// The user namespace of `MOUNT_ATTR_IDMAP`.
    pub userns_fd: u64,
}

/// A path as system calls take it.
///
/// # Errors
/// Where it has a NUL byte.
pub fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(io::Error::from)
}

/// A context in which a file system of type `kind` is configured.
///
/// # Errors
/// The kernel's: `ENODEV` for a type that it does not know.
pub fn fsopen(kind: &CStr) -> io::Result<OwnedFd> {
    // SAFETY: the name is a C string.
    #[allow(unsafe_code)]
    let result = unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), libc::FSOPEN_CLOEXEC) };
    new_fd(result)
}

/// Sets an option with a value.
///
/// # Errors
/// The kernel's; [`message`] may say more.
pub fn set_string(context: BorrowedFd<'_>, key: &CStr, value: &CStr) -> io::Result<()> {
    fsconfig(context, libc::FSCONFIG_SET_STRING, Some(key), Some(value))
}

/// Sets an option without a value.
///
/// # Errors
/// As [`set_string`].
pub fn set_flag(context: BorrowedFd<'_>, key: &CStr) -> io::Result<()> {
    fsconfig(context, libc::FSCONFIG_SET_FLAG, Some(key), None)
}

/// Makes the superblock.
///
/// # Errors
/// As [`set_string`].
pub fn create(context: BorrowedFd<'_>) -> io::Result<()> {
    fsconfig(context, libc::FSCONFIG_CMD_CREATE, None, None)
}

fn fsconfig(
    context: BorrowedFd<'_>,
    command: libc::c_uint,
    key: Option<&CStr>,
    value: Option<&CStr>,
) -> io::Result<()> {
    let pointer = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: key and value are C strings, or null where the command takes none.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::syscall(
            libc::SYS_fsconfig,
            context.as_raw_fd(),
            command,
            pointer(key),
            pointer(value),
            0,
        )
    };
    done(result)
}

/// What the kernel has to say about the last failure of a context, such as
/// `tmpfs: Bad value for 'size'`.
pub fn message(context: BorrowedFd<'_>) -> Option<String> {
    let mut buffer = [0; 1024];
    let length = read(context, &mut buffer).ok()?;
    let text = String::from_utf8_lossy(&buffer[..length]);
    // "e " for an error, "w " for a warning, "i " for information.
    let text = text.get(2..)?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// A detached mount of a context's superblock, with `MOUNT_ATTR_*` attributes.
///
/// # Errors
/// The kernel's.
pub fn fsmount(context: BorrowedFd<'_>, attributes: u64) -> io::Result<OwnedFd> {
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

/// A detached copy of the mount at `path`, seen from `dir`; of `dir` itself where `path`
/// is empty. With the mounts below it where `recursive`.
///
/// # Errors
/// The kernel's: `EINVAL` where mounts below it are locked and would be left out.
pub fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> io::Result<OwnedFd> {
    let mut flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= libc::AT_RECURSIVE as libc::c_uint;
    }
    if path.is_empty() {
        flags |= libc::AT_EMPTY_PATH as libc::c_uint;
    }
    // SAFETY: the path is a C string.
    #[allow(unsafe_code)]
    let result =
        unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) };
    new_fd(result)
}

/// Attaches a detached mount on top of what `target` names.
///
/// # Errors
/// The kernel's: `ENOTDIR` where one is a directory and the other is not.
pub fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> io::Result<()> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    // SAFETY: both paths are C strings.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            mount.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            flags,
        )
    };
    done(result)
}

/// Changes the attributes of a mount, and of all below it where `recursive`.
///
/// # Errors
/// The kernel's: `EPERM` for attributes that are locked.
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    recursive: bool,
    attributes: &MountAttr,
) -> io::Result<()> {
    let mut flags = libc::AT_EMPTY_PATH;
    if recursive {
        flags |= libc::AT_RECURSIVE;
    }
    // SAFETY: the path is a C string, and the structure is as large as is said.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            ptr::from_ref(attributes),
            size_of::<MountAttr>(),
        )
    };
    done(result)
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
