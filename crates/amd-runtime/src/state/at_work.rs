//! Whether somebody still builds a container whose `create` may be dead.
//!
//! libcontainer forks, and a process that it has forked goes on for a while when `create` is killed:
//! it makes cgroup directories and enters them, so that whoever clears up too early leaves what is
//! made behind him. A record lock goes with the process that holds it. An flock(2) is what is wanted
//! here: it is inherited by fork(2) and held until the last copy of its descriptor is closed, by the
//! end of the process or, in a container's init, when that is settled
//! ([`close_host_files`](crate::process::descriptors::close_host_files)).

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::ProcessRef;

/// Held by a create, and by all processes that it forks.
#[derive(Debug)]
pub struct AtWork(#[allow(dead_code, reason = "held open")] File);

impl AtWork {
    /// Makes the file at `path` and holds it.
    ///
    /// # Errors
    /// Where it cannot be made, or is held.
    pub(super) fn begin(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path)?;
        file.try_lock()?;
        Ok(Self(file))
    }

    /// Whether the file at `path` is held. One that is not there, or is none, was held by nobody.
    pub(super) fn is_held(path: &Path) -> bool {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path);
        opened.is_ok_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
    }
}

impl AtWork {
    /// The processes named `name...` that have the file at `path` open, as far as this user may
    /// see.
    pub(super) fn holders(path: &Path, name: &str) -> Vec<ProcessRef> {
        let Ok(file) = fs::symlink_metadata(path) else {
            return Vec::new();
        };
        let has_it = |process: &ProcessRef| {
            let open = fs::read_dir(format!("/proc/{}/fd", process.pid));
            let mut open = open.into_iter().flatten().flatten();
            // Follows the link, to the file that is open.
            open.any(|fd| {
                let meta = fs::metadata(fd.path());
                meta.is_ok_and(|meta| (meta.dev(), meta.ino()) == (file.dev(), file.ino()))
            })
        };
        ProcessRef::all()
            .filter(|process| process.name().is_some_and(|comm| comm.starts_with(name)))
            .filter(has_it)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_held_until_the_last_copy_is_closed() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("at-work");
        assert!(!AtWork::is_held(&path));
        let own = AtWork::begin(&path).unwrap();
        // What fork(2) does to it.
        let inherited = own.0.try_clone().unwrap();
        drop(own);
        assert!(AtWork::is_held(&path));
        drop(inherited);
        assert!(!AtWork::is_held(&path));
    }

    #[test]
    fn who_has_it_open_is_found_by_a_name() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("at-work");
        let own = ProcessRef::own().unwrap();
        let name = own.name().unwrap();
        assert_eq!(AtWork::holders(&path, &name), []);
        let held = AtWork::begin(&path).unwrap();
        assert_eq!(AtWork::holders(&path, &name), [own]);
        assert_eq!(AtWork::holders(&path, "another"), []);
        drop(held);
        assert_eq!(AtWork::holders(&path, &name), []);
    }

    #[test]
    fn what_is_no_file_is_held_by_nobody() {
        let tmp = tempfile::tempdir().unwrap();
        let fifo = tmp.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(!AtWork::is_held(&fifo));
        assert!(!AtWork::is_held(tmp.path()));
    }
}
