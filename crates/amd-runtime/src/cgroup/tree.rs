//! A directory of a cgroup and those below it.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Instant;

use super::visit::PROCS;
use super::{CgroupError, PAUSE, io_error};

/// Pids of all processes in the tree.
pub(super) fn pids_in_tree(dir: &Path) -> Result<Vec<i32>, CgroupError> {
    let mut pids = Vec::new();
    for dir in tree(dir)? {
        let path = dir.join(PROCS);
        match fs::read_to_string(&path) {
            Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok())),
            // A threaded cgroup lists its processes in the root of its domain; a
            // removed one has none.
            Err(err) if is_no_such_cgroup(&err) => {}
            Err(err) => return Err(io_error("cannot read", &path)(err)),
        }
    }
    Ok(pids)
}

fn is_no_such_cgroup(err: &io::Error) -> bool {
    err.kind() == ErrorKind::NotFound
        || matches!(err.raw_os_error(), Some(libc::ENODEV | libc::EOPNOTSUPP))
}

/// `dir` and all directories below it, parents first; nothing where it is gone.
pub(super) fn tree(dir: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let mut all = vec![dir.to_owned()];
    let mut next = 0;
    while let Some(dir) = all.get(next).cloned() {
        next += 1;
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(err) if is_no_such_cgroup(&err) => continue,
            Err(err) => return Err(io_error("cannot read", &dir)(err)),
        };
        let is_dir = |e: &fs::DirEntry| e.file_type().is_ok_and(|t| t.is_dir());
        all.extend(
            entries
                .filter_map(Result::ok)
                .filter(is_dir)
                .map(|e| e.path()),
        );
    }
    Ok(all)
}

/// Removes the tree, deepest first.
pub(super) fn remove_tree(dir: &Path, deadline: Instant) -> Result<(), CgroupError> {
    for dir in tree(dir)?.iter().rev() {
        while let Err(err) = fs::remove_dir(dir) {
            if is_no_such_cgroup(&err) {
                break;
            }
            // Busy for a moment after the last process has exited.
            if err.raw_os_error() != Some(libc::EBUSY) {
                return Err(io_error("cannot remove", dir)(err));
            }
            if Instant::now() > deadline {
                return Err(CgroupError::Timeout {
                    dir: dir.clone(),
                    what: "removed",
                });
            }
            sleep(PAUSE);
        }
    }
    Ok(())
}
