//! The system call that puts a filter on the calling process.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use super::filter::Filter;

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER` (`linux/seccomp.h`).
pub(super) const NEW_LISTENER: u64 = 1 << 3;

/// Loads `filter` into the calling thread. From here on it decides about every system
/// call of this process and its descendants. Where the filter has a listener, returns the
/// descriptor that the listener is to get.
///
/// Needs `CAP_SYS_ADMIN` in the user namespace of the process, or `no_new_privs`.
///
/// # Errors
/// As seccomp(2).
pub fn load(filter: &Filter) -> io::Result<Option<OwnedFd>> {
    let program = libc::sock_fprog {
        len: u16::try_from(filter.program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        filter: filter.program.as_ptr().cast_mut().cast(),
    };
    #[allow(unsafe_code)]
    // SAFETY: `Instruction` has the layout of `sock_filter`; the kernel reads `len` of them
    // and keeps no reference.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            filter.flags,
            &raw const program,
        )
    };
    if returned < 0 {
        return Err(io::Error::last_os_error());
    }
    if filter.flags & NEW_LISTENER == 0 {
        return Ok(None);
    }
    let fd = returned as RawFd;
    #[allow(unsafe_code)]
    // SAFETY: with this flag the kernel returns a new descriptor that is nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(Some(fd))
}

/// The flags of the spec (config-linux.md, "Seccomp") that this runtime knows, and those of
/// seccomp(2) that they are.
pub const FLAGS: [(&str, u64); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", libc::SECCOMP_FILTER_FLAG_TSYNC),
    (
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        libc::SECCOMP_FILTER_FLAG_SPEC_ALLOW,
    ),
    ("SECCOMP_FILTER_FLAG_LOG", libc::SECCOMP_FILTER_FLAG_LOG),
    (
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
        libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV | NEW_LISTENER,
    ),
];

/// Whether the kernel knows these flags of seccomp(2). No filter is loaded.
pub fn kernel_knows(flags: u64) -> bool {
    let no_filter = std::ptr::null::<libc::sock_fprog>();
    #[allow(unsafe_code)]
    // SAFETY: the kernel looks at the flags first, and then at a filter that is not there.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            no_filter,
        )
    };
    returned < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_asked_for_flags() {
        assert!(kernel_knows(libc::SECCOMP_FILTER_FLAG_LOG));
        assert!(!kernel_knows(1 << 30));
    }
}
