//! The cgroup of a container: its processes, its freezer, its removal.
//!
//! libcontainer would make the cgroup, put the container in and set the limits; we make it and set
//! them before anybody is in it (`prepare`), and leave to libcontainer at most to put the container
//! there ([`hidden`]). What it does afterwards has holes that this module closes: it fails to delete
//! a cgroup in which the container made cgroups of its own (youki removes the top directory only),
//! and it signals whatever is in the path that the spec names, the runtime's own cgroup included.
//! Here only directories that were made for the container count.

pub mod birth;
mod files;
mod freezer;
pub mod head_start;
pub mod hidden;
pub mod oom;
mod out_of_reach;
mod paths;
mod prepare;
pub mod resources;
pub mod stats;
pub mod systemd;
mod tree;
pub mod visit;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;

pub use paths::{fs_driver_cgroup, unified_dir_of};

use crate::state::{ProcessRef, Record};
use tree::{pids_in_tree, remove_tree};

/// How long to wait for the kernel to freeze, to kill or to let a directory go.
const PATIENCE: Duration = Duration::from_secs(10);
const A_MOMENT: Duration = Duration::from_millis(250);
const PAUSE: Duration = Duration::from_millis(2);

/// Why a cgroup could not be handled.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// The mounts of this process could not be read.
    #[error("cannot read the cgroup mounts of this host")]
    Mounts(#[source] procfs::ProcError),
    /// The host has no cgroup hierarchy that a container could be put in.
    #[error("no cgroup hierarchy is mounted on this host")]
    NoHierarchy,
    /// A container without a cgroup of its own cannot be made on a host with v1 alone.
    #[error("this user may make no cgroups, and the host has no cgroup v2")]
    NoUnified,
    /// The container stays where its caller is.
    #[error("cannot put the container's init into cgroup {dir:?}")]
    NotJoined {
        /// The directory of its cgroup.
        dir: PathBuf,
    },
    /// Limits are asked for, and there is no cgroup to set them for.
    // runc's words.
    #[error("cannot set limits: container could not join or create cgroup")]
    LimitsWithoutCgroup,
    /// `linux.cgroupsPath` leaves its hierarchy or is its root.
    #[error("linux.cgroupsPath {path:?} does not name a cgroup below the root of its hierarchy")]
    Path {
        /// The path of the spec.
        path: PathBuf,
    },
    /// There are processes in the cgroup of a container that is yet to be created.
    #[error("container's cgroup is not empty: {count} process(es) found in {dir:?}")]
    NotEmpty {
        /// One of its directories.
        dir: PathBuf,
        /// How many processes are in it.
        count: usize,
    },
    /// The kernel did not do in time what it was told.
    #[error("cgroup {dir:?} could not be {what} within {} s", PATIENCE.as_secs())]
    Timeout {
        /// The directory.
        dir: PathBuf,
        /// What it should have become.
        what: &'static str,
    },
    /// The cgroup of a container that is yet to be created is frozen.
    #[error("container's cgroup unexpectedly frozen")]
    Frozen,
    /// A cgroup on the way is threaded, and a limit is asked for that such a one cannot have.
    #[error("cannot enter cgroupv2 {dir:?} with domain controllers -- it is in {kind:?} mode")]
    Threaded {
        /// The directory.
        dir: PathBuf,
        /// Its `cgroup.type`.
        kind: String,
    },
    /// A limit could not be set.
    #[error(transparent)]
    Limit(#[from] resources::LimitError),
    /// The cgroup would be that of a slice of systemd.
    #[error("linux.cgroupsPath {path:?} names a slice, and systemd starts no process in a slice")]
    Slice {
        /// The path of the spec.
        path: PathBuf,
    },
    /// An annotation for the unit cannot be followed.
    #[error(transparent)]
    Annotation(#[from] systemd::AnnotationError),
    /// systemd did not do its part.
    #[error("the unit of the container")]
    Unit(#[from] systemd::BusError),
    /// The cgroup has no freezer.
    #[error("the cgroup has no freezer: cannot pause")]
    NoFreezer,
    /// A file of the cgroup could not be read or written.
    #[error("{what} {path:?}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl CgroupError {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoUnified => {
                "mount a cgroup2 file system at /sys/fs/cgroup/unified, boot with cgroup v2, or \
                 have root make a cgroup and name it in linux.cgroupsPath"
            }
            Self::LimitsWithoutCgroup => {
                "a rootless container has limits where systemd makes its cgroup \
                 (--systemd-cgroup), or where linux.cgroupsPath names one that this user owns"
            }
            Self::Slice { .. } => {
                "name the slice in the first part and the container in the last, as in \
                 \"system.slice:docker:0123\""
            }
            Self::Annotation(err) => return Some(err.hint()),
            Self::Unit(systemd::BusError::Connect { .. }) => {
                "systemd must run for this user (a login session, or `loginctl enable-linger`); \
                 without it: `podman --cgroup-manager=cgroupfs`, or no --systemd-cgroup"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CgroupError {
    let path = path.to_owned();
    move |source| CgroupError::Io { what, path, source }
}

/// The cgroup of one container: its directories, one a hierarchy.
#[derive(Clone, Debug, Default)]
pub struct Cgroup {
    /// Where all its processes are.
    dirs: Vec<PathBuf>,
    /// Hierarchies that the runtime visits for the container, see [`visit`]: nobody is counted,
    /// frozen or killed by these.
    visited: Vec<PathBuf>,
}

impl Cgroup {
    /// The cgroup with these directories.
    pub fn new(dirs: Vec<PathBuf>) -> Self {
        Self {
            dirs,
            visited: Vec::new(),
        }
    }

    /// The cgroup that a container has on record.
    pub fn of(record: &Record) -> Self {
        Self {
            dirs: record.cgroup_dirs.clone(),
            visited: record.visited_dirs.clone(),
        }
    }

    /// Its directories; they need not exist.
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    /// Its directories in hierarchies that libcontainer leaves out; they need not exist.
    pub fn visited(&self) -> &[PathBuf] {
        &self.visited
    }

    /// Its directories in hierarchies of v1.
    pub fn v1_dirs(&self) -> Vec<PathBuf> {
        let all = self.dirs.iter().chain(&self.visited);
        all.filter(|dir| !dir.starts_with(paths::HYBRID))
            .cloned()
            .collect()
    }

    /// Refuses a cgroup that has processes: they would become the container's, be
    /// frozen with it and killed with it.
    ///
    /// # Errors
    /// [`CgroupError::NotEmpty`] with runc's words.
    pub fn must_be_empty(&self) -> Result<(), CgroupError> {
        for dir in &self.dirs {
            let count = pids_in_tree(dir)?.len();
            if count > 0 {
                return Err(CgroupError::NotEmpty {
                    dir: dir.clone(),
                    count,
                });
            }
        }
        Ok(())
    }

    /// The directories that exist already.
    pub fn existing(&self) -> Vec<PathBuf> {
        let all = self.dirs.iter().chain(&self.visited);
        all.filter(|dir| dir.exists()).cloned().collect()
    }

    /// All pids in the cgroup and the cgroups below it, in every hierarchy, sorted.
    ///
    /// # Errors
    /// Where a directory that exists cannot be read.
    pub fn pids(&self) -> Result<Vec<i32>, CgroupError> {
        let mut all = BTreeSet::new();
        for dir in &self.dirs {
            all.extend(pids_in_tree(dir)?);
        }
        Ok(all.into_iter().collect())
    }

    /// Whether nobody is in the cgroup, or is about to be: processes that are exiting get
    /// a moment.
    ///
    /// # Errors
    /// Where a directory that exists cannot be read.
    pub fn becomes_empty(&self) -> Result<bool, CgroupError> {
        let deadline = Instant::now() + A_MOMENT;
        while !self.pids()?.is_empty() {
            if Instant::now() > deadline {
                return Ok(false);
            }
            sleep(PAUSE);
        }
        Ok(true)
    }

    /// Sends `signal` to every process of the cgroup, once.
    ///
    /// # Errors
    /// Where the processes cannot be listed; one that exits meanwhile is no error.
    pub fn signal_all(&self, signal: i32) -> Result<(), CgroupError> {
        for pid in self.pids()? {
            if let Some(process) = ProcessRef::of(pid)
                && let Err(err) = process.signal(signal)
                && err != Errno::ESRCH
            {
                tracing::warn!(pid, signal, %err, "cannot signal a process of the container");
            }
        }
        Ok(())
    }

    /// Kills those processes of the cgroup that go by a name with this beginning.
    ///
    /// # Errors
    /// Where the processes cannot be listed.
    pub fn kill_named(&self, prefix: &str) -> Result<(), CgroupError> {
        for process in self.pids()?.into_iter().filter_map(ProcessRef::of) {
            if process.name().is_some_and(|name| name.starts_with(prefix)) {
                // Gone since is what we want.
                let _ = process.signal(libc::SIGKILL);
            }
        }
        Ok(())
    }

    /// Kills everything in the cgroup, frozen or not, and waits until it is empty.
    ///
    /// # Errors
    /// [`CgroupError::Timeout`] where something survives, as a process in an
    /// uninterruptible wait can.
    pub fn kill(&self) -> Result<(), CgroupError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            for dir in &self.dirs {
                // v2, Linux 5.14 and later: all at once, forks included.
                let _ = fs::write(dir.join("cgroup.kill"), "1");
            }
            self.signal_all(libc::SIGKILL)?;
            // A frozen process on v1 dies when it is thawed, wherever below it was frozen.
            self.thaw_tree()?;
            let alive = self
                .pids()?
                .into_iter()
                .filter_map(ProcessRef::of)
                .any(|p| p.is_alive());
            if !alive {
                return Ok(());
            }
            if Instant::now() > deadline {
                let dir = self.dirs.first().cloned().unwrap_or_default();
                return Err(CgroupError::Timeout {
                    dir,
                    what: "emptied",
                });
            }
            sleep(PAUSE);
        }
    }

    /// Removes the cgroup and those that the container made below it, deepest first.
    ///
    /// # Errors
    /// [`CgroupError::Timeout`] where a directory stays busy. Every directory is tried
    /// before the first error is reported.
    pub fn remove(&self) -> Result<(), CgroupError> {
        let mut first_error = Ok(());
        for dir in self.dirs.iter().chain(&self.visited) {
            let removed = remove_tree(dir, Instant::now() + PATIENCE);
            if first_error.is_ok() {
                first_error = removed;
            }
        }
        first_error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removal_takes_nested_directories_and_forgives_missing_ones() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("container");
        fs::create_dir_all(dir.join("a/b/c")).unwrap();
        let cgroup = Cgroup::new(vec![dir.clone(), tmp.path().join("never-made")]);
        cgroup.remove().unwrap();
        assert!(!dir.exists());
        assert!(cgroup.pids().unwrap().is_empty());
    }

    #[test]
    fn a_cgroup_with_processes_is_refused_with_runcs_words() {
        let tmp = tempfile::tempdir().unwrap();
        fs::create_dir(tmp.path().join("sub")).unwrap();
        fs::write(tmp.path().join("sub/cgroup.procs"), "1\n2\n").unwrap();
        let err = Cgroup::new(vec![tmp.path().to_owned()])
            .must_be_empty()
            .unwrap_err();
        assert!(
            err.to_string()
                .starts_with("container's cgroup is not empty: 2 process(es)")
        );
    }
}
