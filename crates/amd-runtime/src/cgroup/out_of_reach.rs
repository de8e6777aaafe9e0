//! A container without a cgroup of its own, for a caller who may make none.
//!
//! libcontainer always makes one. On v2 it takes no for an answer where it is rootless itself; on
//! v1 it does not (its v1 manager has no `with_rootless`), and where it may write it would make
//! cgroups that nobody has on record. So they are [`hidden`](super::hidden) from it.

use std::path::Path;

use nix::unistd::{AccessFlags, eaccess};

use super::Cgroup;
use super::visit::PROCS;

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
    may(there, AccessFlags::W_OK | AccessFlags::X_OK) && may(&there.join(PROCS), AccessFlags::W_OK)
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
