//! A mount namespace of this process's own, for a while.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{chroot, fchdir};

use crate::path_fd;

/// Makes `dir` the root directory of this process, and its working directory. A process that
/// joins a mount namespace has the root of that namespace (setns(2)), whatever its own was before.
///
/// # Errors
/// As fchdir(2) and chroot(2).
pub fn make_root(dir: impl AsFd) -> nix::Result<()> {
    fchdir(dir)?;
    chroot(".")
}

/// A stay of this process, which must have one thread, in a mount namespace of its own; ended by
/// dropping it. What was opened meanwhile stays there, as do the processes that were started.
#[derive(Debug)]
pub struct Stay {
    home: File,
    /// Its root directory there, which chroot(2) may have made.
    root: OwnedFd,
    /// Its directory there.
    dir: File,
}

impl Stay {
    /// Makes the namespace, a copy of the one that this process is in, and enters it.
    ///
    /// # Errors
    /// As unshare(2).
    pub fn begin() -> io::Result<Self> {
        let stay = Self {
            home: File::open("/proc/thread-self/ns/mnt")?,
            root: path_fd::find("/", OFlag::O_DIRECTORY)?,
            dir: File::open(".")?,
        };
        unshare(CloneFlags::CLONE_NEWNS)?;
        Ok(stay)
    }

    /// Its descriptors, of which a process that is forked meanwhile has copies.
    pub fn descriptors(&self) -> [RawFd; 3] {
        let Self { home, root, dir } = self;
        [home.as_raw_fd(), root.as_raw_fd(), dir.as_raw_fd()]
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let back = setns(self.home.as_fd(), CloneFlags::CLONE_NEWNS);
        let back = back.and_then(|()| make_root(&self.root));
        if let Err(errno) = back.and_then(|()| fchdir(&self.dir)) {
            tracing::warn!("cannot go back to the caller's mount namespace: {errno}");
        }
    }
}
