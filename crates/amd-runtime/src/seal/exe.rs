//! The file that this process runs from, and what the kernel says about it.

use std::ffi::{CStr, CString};
use std::fs::{File, Metadata};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::statfs::{OVERLAYFS_SUPER_MAGIC, fstatfs};
use nix::sys::statvfs::FsFlags;

const PROC_SELF_EXE: &str = "/proc/self/exe";

/// What makes a sealed binary, as far as the kernel tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ExeFacts {
    /// It is a memfd whose content cannot change any more, nor its seals.
    pub(super) sealed_memfd: bool,
    /// It is on an overlay mount and cannot be written there.
    pub(super) read_only_overlay: bool,
    /// The mount it is on; unknown before Linux 5.8.
    pub(super) mount_id: Option<u64>,
}

/// The running executable, open for reading.
pub(super) struct Executable {
    pub(super) file: File,
    pub(super) metadata: Metadata,
}

impl Executable {
    pub(super) fn running() -> io::Result<Self> {
        let file = File::open(PROC_SELF_EXE)?;
        let metadata = file.metadata()?;
        Ok(Self { file, metadata })
    }

    /// The path that it was executed by, as far as the kernel can tell.
    pub(super) fn path() -> io::Result<PathBuf> {
        std::fs::read_link(PROC_SELF_EXE)
    }

    pub(super) fn facts(&self) -> io::Result<ExeFacts> {
        let statfs = fstatfs(&self.file)?;
        Ok(ExeFacts {
            sealed_memfd: has_all_seals(&self.file),
            read_only_overlay: statfs.filesystem_type() == OVERLAYFS_SUPER_MAGIC
                && statfs.flags().contains(FsFlags::ST_RDONLY),
            mount_id: mount_id(self.file.as_fd())?,
        })
    }
}

/// The seals that together keep the content as it is.
pub(super) fn all_seals() -> SealFlag {
    SealFlag::F_SEAL_SEAL | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_WRITE
}

/// Whether `file` is a memfd with [`all_seals`]. Other files have none.
pub(super) fn has_all_seals(file: &File) -> bool {
    fcntl(file, FcntlArg::F_GET_SEALS)
        .is_ok_and(|seals| SealFlag::from_bits_retain(seals).contains(all_seals()))
}

/// The id of the mount that an open file is on; `None` where the kernel does not tell.
pub(super) fn mount_id(file: BorrowedFd<'_>) -> io::Result<Option<u64>> {
    let mut statx = MaybeUninit::<libc::statx>::zeroed();
    // SAFETY: the path is a C string and `statx` has room for the result.
    #[allow(unsafe_code)]
    let result = unsafe {
        libc::statx(
            file.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_MNT_ID,
            statx.as_mut_ptr(),
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: plain numbers, zero where the kernel has not written.
    #[allow(unsafe_code)]
    let statx = unsafe { statx.assume_init() };
    Ok((statx.stx_mask & libc::STATX_MNT_ID != 0).then_some(statx.stx_mnt_id))
}

/// Gives the process the name that it has when it is executed by path: that of the program.
///
/// Cosmetic (`ps`, `top`), so it never fails.
pub(super) fn restore_process_name() {
    let name = std::env::args_os().next().and_then(|program| {
        let name = Path::new(&program).file_name()?.as_bytes().to_vec();
        CString::new(name).ok()
    });
    if let Some(name) = name {
        let name: &CStr = &name;
        // The kernel takes the first 15 bytes.
        let _ = nix::sys::prctl::set_name(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_on_disk_is_not_sealed() {
        let exe = Executable::running().unwrap();
        let facts = exe.facts().unwrap();
        assert!(!facts.sealed_memfd);
        assert_ne!(facts.mount_id, Some(0));
    }
}
