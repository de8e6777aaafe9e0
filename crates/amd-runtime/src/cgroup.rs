//! The cgroup of a container: its processes, its freezer, its removal.
//!
//! libcontainer makes the cgroup, puts the container in and sets the limits. What it
//! does afterwards has holes that this module closes: it fails to delete a cgroup in
//! which the container made cgroups of its own (youki removes the top directory only),
//! and it signals whatever is in the path that the spec names, the runtime's own
//! cgroup included. Here only directories that were made for the container count.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Component, Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use procfs::process::Process;

use crate::state::ProcessRef;

/// How long to wait for the kernel to freeze, to kill or to let a directory go.
const PATIENCE: Duration = Duration::from_secs(10);
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

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CgroupError {
    let path = path.to_owned();
    move |source| CgroupError::Io { what, path, source }
}

/// The directories, one a hierarchy, in which the fs driver of libcontainer puts a
/// container with this `linux.cgroupsPath`; they need not exist.
///
/// # Errors
/// Where the path climbs or names a root, or no hierarchy is mounted.
pub fn fs_driver_dirs(cgroups_path: &Path) -> Result<Vec<PathBuf>, CgroupError> {
    let below = below_root(cgroups_path).ok_or_else(|| CgroupError::Path {
        path: cgroups_path.to_owned(),
    })?;
    let mounts = Process::myself()
        .and_then(|p| p.mountinfo())
        .map_err(CgroupError::Mounts)?;
    let hierarchies = hierarchies(mounts.0.iter().map(|m| {
        let controllers = m
            .super_options
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>();
        (m.fs_type.as_str(), m.mount_point.as_path(), controllers)
    }));
    if hierarchies.is_empty() {
        return Err(CgroupError::NoHierarchy);
    }
    Ok(hierarchies
        .into_iter()
        .map(|dir| dir.join(&below))
        .collect())
}

/// The hierarchies that libcontainer uses: all v1 ones with a controller that it
/// knows, or, where there is none, the v2 mount at /sys/fs/cgroup.
fn hierarchies<'a>(
    mounts: impl Iterator<Item = (&'a str, &'a Path, Vec<&'a str>)>,
) -> Vec<PathBuf> {
    let mut v1 = BTreeSet::new();
    let mut v2 = None;
    for (fs_type, dir, controllers) in mounts {
        match fs_type {
            "cgroup" if controllers.iter().any(|c| V1_CONTROLLERS.contains(c)) => {
                v1.insert(dir.to_owned());
            }
            "cgroup2" if dir == Path::new(libcgroups::common::DEFAULT_CGROUP_ROOT) => {
                v2 = Some(dir.to_owned());
            }
            _ => {}
        }
    }
    if v2.is_some() {
        v2.into_iter().collect()
    } else {
        v1.into_iter().collect()
    }
}

/// The controllers that libcgroups joins on v1 (its `CONTROLLERS`).
const V1_CONTROLLERS: [&str; 12] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "devices",
    "hugetlb",
    "memory",
    "pids",
    "perf_event",
    "blkio",
    "net_prio",
    "net_cls",
    "freezer",
];

/// `path` without its leading `/`, where it names something below the root and
/// nothing above it.
fn below_root(path: &Path) -> Option<PathBuf> {
    let mut below = PathBuf::new();
    for component in path.components() {
        match component {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => below.push(name),
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    (!below.as_os_str().is_empty()).then_some(below)
}

/// The directory of a process's cgroup on v2, as `/proc/PID/cgroup` names it: what
/// systemd made, whatever the spec said.
pub fn unified_dir_of(pid: i32) -> Result<PathBuf, CgroupError> {
    let cgroups = Process::new(pid)
        .and_then(|p| p.cgroups())
        .map_err(CgroupError::Mounts)?;
    let path = cgroups
        .0
        .iter()
        .find(|c| c.hierarchy == 0)
        .map(|c| PathBuf::from(&c.pathname));
    let below = path
        .as_deref()
        .and_then(below_root)
        .ok_or(CgroupError::NoHierarchy)?;
    Ok(Path::new(libcgroups::common::DEFAULT_CGROUP_ROOT).join(below))
}

/// The cgroup of one container: its directories, one a hierarchy.
#[derive(Clone, Debug, Default)]
pub struct Cgroup {
    dirs: Vec<PathBuf>,
}

impl Cgroup {
    /// The cgroup with these directories.
    pub fn new(dirs: Vec<PathBuf>) -> Self {
        Self { dirs }
    }

    /// Its directories; they need not exist.
    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
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
        self.dirs
            .iter()
            .filter(|dir| dir.exists())
            .cloned()
            .collect()
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
            if self.is_frozen() {
                // A frozen process on v1 dies when it is thawed.
                self.write_freezer(false)?;
            }
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
        for dir in &self.dirs {
            let removed = remove_tree(dir, Instant::now() + PATIENCE);
            if first_error.is_ok() {
                first_error = removed;
            }
        }
        first_error
    }

    /// Whether the freezer has stopped the container, or is about to.
    pub fn is_frozen(&self) -> bool {
        self.dirs.iter().any(|dir| {
            // v2: kernel document cgroup-v2, cgroup.freeze; v1: freezer-subsystem.
            let read = |file: &str| fs::read_to_string(dir.join(file));
            if let Ok(frozen) = read("cgroup.freeze") {
                return frozen.trim() == "1";
            }
            read("freezer.state").is_ok_and(|state| state.trim() != "THAWED")
        })
    }

    /// Stops or continues all processes and waits until it is so.
    ///
    /// # Errors
    /// [`CgroupError::NoFreezer`], or [`CgroupError::Timeout`]; a freeze that did not
    /// come about is taken back.
    pub fn freeze(&self, frozen: bool) -> Result<(), CgroupError> {
        let dir = self.write_freezer(frozen)?;
        let deadline = Instant::now() + PATIENCE;
        while !freezer_reached(&dir, frozen)? {
            if Instant::now() > deadline {
                if frozen {
                    self.write_freezer(false)?;
                }
                let what = if frozen { "frozen" } else { "thawed" };
                return Err(CgroupError::Timeout { dir, what });
            }
            sleep(PAUSE);
        }
        Ok(())
    }

    fn write_freezer(&self, frozen: bool) -> Result<PathBuf, CgroupError> {
        for dir in &self.dirs {
            for (file, on, off) in [
                ("cgroup.freeze", "1", "0"),
                ("freezer.state", "FROZEN", "THAWED"),
            ] {
                let path = dir.join(file);
                if path.exists() {
                    fs::write(&path, if frozen { on } else { off })
                        .map_err(io_error("cannot write", &path))?;
                    return Ok(dir.clone());
                }
            }
        }
        Err(CgroupError::NoFreezer)
    }
}

fn freezer_reached(dir: &Path, frozen: bool) -> Result<bool, CgroupError> {
    let v2 = dir.join("cgroup.events");
    let v1 = dir.join("freezer.state");
    let (path, want) = match (dir.join("cgroup.freeze").exists(), frozen) {
        (true, true) => (v2, "frozen 1"),
        (true, false) => (v2, "frozen 0"),
        (false, true) => (v1, "FROZEN"),
        (false, false) => (v1, "THAWED"),
    };
    let text = fs::read_to_string(&path).map_err(io_error("cannot read", &path))?;
    Ok(text.lines().any(|line| line.trim() == want))
}

fn pids_in_tree(dir: &Path) -> Result<Vec<i32>, CgroupError> {
    let mut pids = Vec::new();
    for dir in tree(dir)? {
        let path = dir.join("cgroup.procs");
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
fn tree(dir: &Path) -> Result<Vec<PathBuf>, CgroupError> {
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

fn remove_tree(dir: &Path, deadline: Instant) -> Result<(), CgroupError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cgroup_paths_stay_below_their_root() {
        for (path, below) in [
            ("/docker/abc", Some("docker/abc")),
            ("a/b", Some("a/b")),
            ("/./a", Some("a")),
            ("", None),
            ("/", None),
            ("/..", None),
            ("/a/../..", None),
            ("a/../b", None),
        ] {
            assert_eq!(
                below_root(Path::new(path)),
                below.map(PathBuf::from),
                "{path:?}"
            );
        }
    }

    #[test]
    fn hierarchies_are_those_that_libcontainer_uses() {
        let hybrid = [
            (
                "cgroup",
                "/sys/fs/cgroup/cpu,cpuacct",
                vec!["rw", "cpu", "cpuacct"],
            ),
            ("cgroup", "/sys/fs/cgroup/devices", vec!["rw", "devices"]),
            (
                "cgroup",
                "/sys/fs/cgroup/systemd",
                vec!["rw", "name=systemd"],
            ),
            ("cgroup2", "/sys/fs/cgroup/unified", vec!["rw"]),
            ("tmpfs", "/sys/fs/cgroup", vec!["rw"]),
        ];
        let v2 = [("cgroup2", "/sys/fs/cgroup", vec!["rw"])];
        let of = |mounts: &[(&'static str, &'static str, Vec<&'static str>)]| {
            hierarchies(
                mounts
                    .iter()
                    .map(|(t, d, c)| (*t, Path::new(*d), c.clone())),
            )
        };
        let paths = |dirs: &[&str]| dirs.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(
            of(&hybrid),
            paths(&["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/devices"])
        );
        assert_eq!(of(&v2), paths(&["/sys/fs/cgroup"]));
        assert!(of(&[]).is_empty());
    }

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
