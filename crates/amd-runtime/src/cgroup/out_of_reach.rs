//! A container without a cgroup of its own, for a caller who may make none.
//!
//! libcontainer always makes one. On v2 it takes no for an answer where it is rootless itself; on
//! v1 it does not (its v1 manager has no `with_rootless`), and where it may write it would make
//! cgroups that nobody has on record. So it is shown a v2 hierarchy in which nothing can be made.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use libcgroups::common::{CgroupSetup, DEFAULT_CGROUP_ROOT, get_cgroup_setup};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{AccessFlags, eaccess, fchdir};

use super::paths::HYBRID;
use super::{Cgroup, CgroupError};

impl Cgroup {
    /// Whether this process may make the directories of this cgroup that are missing, and put
    /// processes in them.
    pub fn is_within_reach(&self) -> bool {
        self.dirs.iter().all(|dir| may_make(dir))
    }

    /// Whether the container has none of its own.
    pub fn is_none(&self) -> bool {
        self.dirs.is_empty()
    }
}

fn may_make(dir: &Path) -> bool {
    let Some(there) = dir.ancestors().find(|dir| dir.exists()) else {
        return false;
    };
    let may = |path: &Path, access| eaccess(path, access).is_ok();
    may(there, AccessFlags::W_OK | AccessFlags::X_OK)
        && may(&there.join("cgroup.procs"), AccessFlags::W_OK)
}

/// What libcontainer is told of the cgroup of a container that has none: one that is not there and
/// cannot be made. It kills what it finds in the cgroup of a container that it cannot build.
pub fn path_of_none(id: &str) -> String {
    format!("/no-cgroup-of-{id}")
}

/// A stay of this process where it sees no cgroups but those of v2, read-only; ended by dropping
/// it.
#[derive(Debug)]
pub struct Hidden {
    /// Its mount namespace.
    home: File,
    /// Its directory there.
    dir: File,
}

impl Hidden {
    /// Hides the cgroups from this process and those that it forks.
    ///
    /// # Errors
    /// [`CgroupError::NoUnified`] on a host without cgroup v2, and where this process may not
    /// mount.
    pub fn enter() -> Result<Self, CgroupError> {
        let failed = |what| {
            move |source: io::Error| CgroupError::Io {
                what,
                path: DEFAULT_CGROUP_ROOT.into(),
                source,
            }
        };
        let unified = match get_cgroup_setup() {
            Ok(CgroupSetup::Unified) => Path::new(DEFAULT_CGROUP_ROOT),
            Ok(CgroupSetup::Hybrid) => Path::new(HYBRID),
            _ => return Err(CgroupError::NoUnified),
        };
        let open = |path| File::open(path).map_err(failed("cannot hide"));
        let hidden = Self {
            home: open("/proc/thread-self/ns/mnt")?,
            dir: open(".")?,
        };
        unshare(CloneFlags::CLONE_NEWNS)
            .and_then(|()| cover(unified))
            .map_err(|errno| failed("cannot hide")(errno.into()))?;
        Ok(hidden)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let back = setns(self.home.as_fd(), CloneFlags::CLONE_NEWNS);
        if let Err(errno) = back.and_then(|()| fchdir(&self.dir)) {
            tracing::warn!("cannot go back to the caller's mount namespace: {errno}");
        }
    }
}

/// Covers all cgroups with `unified`, read-only. No mount namespace but this one sees it.
fn cover(unified: &Path) -> nix::Result<()> {
    let (root, none) = (DEFAULT_CGROUP_ROOT, None::<&str>);
    mount(none, root, none, MsFlags::MS_SLAVE, none)?;
    mount(Some(unified), root, none, MsFlags::MS_BIND, none)?;
    let keep = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    let read_only = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | keep;
    mount(none, root, none, read_only, none)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_directory_is_within_reach_where_what_is_there_of_it_can_be_written() {
        let tmp = tempfile::tempdir().unwrap();
        let missing = tmp.path().join("a/b");
        assert!(!Cgroup::new(vec![missing.clone()]).is_within_reach());
        fs::write(tmp.path().join("cgroup.procs"), "").unwrap();
        assert!(Cgroup::new(vec![missing]).is_within_reach());
        assert!(!Cgroup::new(vec!["/proc/no/cgroup".into()]).is_within_reach());
    }
}
