//! Files that are found, and not opened (`O_PATH`, open(2)).

use std::os::fd::OwnedFd;

use nix::NixPath;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;

/// A descriptor for the file at `path`; `flags` are `O_DIRECTORY` and `O_NOFOLLOW`.
///
/// Not by the options of [`std::fs::File`]: under musl `O_PATH` is part of `O_ACCMODE`, which they take
/// out of custom flags, and so they open the file.
///
/// # Errors
/// As open(2).
pub fn find(path: &(impl NixPath + ?Sized), flags: OFlag) -> nix::Result<OwnedFd> {
    open(
        path,
        flags | OFlag::O_PATH | OFlag::O_CLOEXEC,
        Mode::empty(),
    )
}
