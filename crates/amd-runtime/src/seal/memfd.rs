//! A copy of the binary in memory that cannot change: a memfd with all seals.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use super::StepError;
use super::exe::{self, Executable};

/// `MFD_EXEC`, Linux 6.3: executable whatever the sysctl vm.memfd_noexec has as the default.
const MFD_EXEC: MFdFlags = MFdFlags::from_bits_retain(0x10);
/// `F_SEAL_EXEC`, Linux 6.3: the mode cannot change either.
const F_SEAL_EXEC: SealFlag = SealFlag::from_bits_retain(0x20);

/// Copies the running executable into a memfd and seals it.
pub(super) fn copy(exe: &Executable) -> Result<File, StepError> {
    let mut copy = create()?;
    let mut source = &exe.file;
    let copied = io::copy(&mut source, &mut copy).map_err(StepError::at("copy to memfd"))?;
    if copied != exe.metadata.len() {
        let short = io::Error::from(io::ErrorKind::UnexpectedEof);
        return Err(StepError::at("copy to memfd")(short));
    }
    seal(&copy)?;
    Ok(copy)
}

fn create() -> Result<File, StepError> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let name = c"amd-container-runtime";
    match memfd_create(name, flags | MFD_EXEC) {
        Err(Errno::EINVAL) => memfd_create(name, flags),
        result => result,
    }
    .map(File::from)
    .map_err(StepError::at("memfd_create"))
}

fn seal(file: &File) -> Result<(), StepError> {
    file.set_permissions(Permissions::from_mode(0o511))
        .map_err(StepError::at("chmod memfd"))?;
    // Not known to all kernels, and not needed to keep the content.
    let _ = fcntl(file, FcntlArg::F_ADD_SEALS(F_SEAL_EXEC));
    fcntl(file, FcntlArg::F_ADD_SEALS(exe::all_seals())).map_err(StepError::at("seal memfd"))?;
    if exe::has_all_seals(file) {
        Ok(())
    } else {
        Err(StepError::at("seal memfd")(io::Error::other(
            "seals are missing",
        )))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{Seek, Write};
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn the_copy_has_the_bytes_of_the_binary_and_can_be_executed() {
        let copy = copy(&Executable::running().unwrap()).unwrap();
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        assert!(fs::read(path).unwrap() == fs::read("/proc/self/exe").unwrap());
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o511);
    }

    #[test]
    fn the_copy_cannot_be_changed_in_any_way() {
        let mut copy = copy(&Executable::running().unwrap()).unwrap();
        let path = format!("/proc/self/fd/{}", copy.as_raw_fd());
        let size = copy.metadata().unwrap().len();
        let eperm = |result: io::Result<()>| {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::EPERM));
        };
        copy.rewind().unwrap();
        eperm(copy.write_all(b"x"));
        eperm(copy.set_len(0));
        eperm(copy.set_len(size + 1));
        eperm(
            fcntl(&copy, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_SEAL))
                .map(drop)
                .map_err(io::Error::from),
        );
        // Root may open it for writing again, which gets it nothing.
        if let Ok(mut again) = File::options().write(true).open(path) {
            eperm(again.write_all(b"x"));
        }
    }

    #[test]
    fn a_memfd_counts_as_sealed_only_with_every_seal() {
        let seals = [
            SealFlag::F_SEAL_SHRINK,
            SealFlag::F_SEAL_GROW,
            SealFlag::F_SEAL_WRITE,
            SealFlag::F_SEAL_SEAL,
        ];
        for missing in seals {
            let file = create().unwrap();
            for seal in seals.into_iter().filter(|seal| *seal != missing) {
                fcntl(&file, FcntlArg::F_ADD_SEALS(seal)).unwrap();
            }
            assert!(!exe::has_all_seals(&file), "without {missing:?}");
            if missing != SealFlag::F_SEAL_SEAL {
                continue;
            }
            fcntl(&file, FcntlArg::F_ADD_SEALS(missing)).unwrap();
            assert!(exe::has_all_seals(&file));
        }
    }
}
