//! A mount namespace of this process's own, for a while.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::fchdir;

/// A stay of this process, which must have one thread, in a mount namespace of its own; ended by
/// dropping it. What was opened meanwhile stays there, as do the processes that were started.
#[derive(Debug)]
pub struct Stay {
    home: File,
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
            dir: File::open(".")?,
        };
        unshare(CloneFlags::CLONE_NEWNS)?;
        Ok(stay)
    }

    /// Its descriptors, of which a process that is forked meanwhile has copies.
    pub fn descriptors(&self) -> [RawFd; 2] {
        [self.home.as_raw_fd(), self.dir.as_raw_fd()]
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let back = setns(self.home.as_fd(), CloneFlags::CLONE_NEWNS);
        if let Err(errno) = back.and_then(|()| fchdir(&self.dir)) {
            tracing::warn!("cannot go back to the caller's mount namespace: {errno}");
        }
    }
}
