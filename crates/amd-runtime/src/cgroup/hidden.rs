//! Cgroups hidden from libcontainer, which always wants to put a container in one.
//!
//! What it is told of cgroups (`CgroupConfig`) has no word for "none", and what it does there costs
//! more than all the rest of it. On v1 it looks for the mount point of each of twelve controllers by
//! itself, a procfs mounted and the whole of mountinfo read for each: some 700 system calls. On any
//! host it moves its process between two others that wait for it, and the first move of all waits
//! for an RCU grace period of 5 ms and more (see [`head_start`](super::head_start)). So it is shown,
//! in a mount namespace that nobody else sees, a v2 hierarchy where
//!
//! * nothing can be made ([`Cover::without_cgroup`]), for a container that has no cgroup; or
//! * the `cgroup.procs` that it writes to is /dev/null ([`Cover::on`]), for one whose init the
//!   runtime puts in its cgroup when it is built.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::path::{Path, PathBuf};

use libcgroups::common::{CgroupSetup, DEFAULT_CGROUP_ROOT, get_cgroup_setup};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::paths::HYBRID;
use super::visit::PROCS;
use super::{Cgroup, CgroupError};
use crate::mount_namespace::Stay;

const NONE: Option<&str> = None;

/// What hides cgroups: mounts, as yet not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    /// What is mounted over all cgroups.
    root: Root,
    /// The file that /dev/null is mounted over.
    procs: Option<PathBuf>,
    /// `linux.cgroupsPath` as libcontainer is to be told of it.
    told: PathBuf,
}

/// What is at [`DEFAULT_CGROUP_ROOT`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Root {
    /// What is there: v2.
    AsItIs,
    /// The v2 hierarchy that is mounted there.
    Unified { path: PathBuf, read_only: bool },
    /// The v2 hierarchy, which this host has mounted nowhere.
    New,
}

impl Cover {
    /// For the container `id`, which has no cgroup: libcontainer is told of one that is not there
    /// and cannot be made. (Where it is rootless itself, it takes that for an answer. It kills what
    /// it finds in the cgroup of a container that it cannot build.)
    ///
    /// # Errors
    /// [`CgroupError::NoUnified`] on a host without cgroup v2.
    pub fn without_cgroup(id: &str) -> Result<Self, CgroupError> {
        let unified = match get_cgroup_setup() {
            Ok(CgroupSetup::Unified) => DEFAULT_CGROUP_ROOT,
            Ok(CgroupSetup::Hybrid) => HYBRID,
            _ => return Err(CgroupError::NoUnified),
        };
        Ok(Self {
            root: Root::Unified {
                path: unified.into(),
                read_only: true,
            },
            procs: None,
            told: format!("/no-cgroup-of-{id}").into(),
        })
    }

    /// For a container in `cgroup`, whose directories exist when the cover is entered, on a host that
    /// is set up so. `None` where cgroups are not where libcontainer looks for them.
    pub fn on(setup: &CgroupSetup, cgroup: &Cgroup) -> Option<Self> {
        let root = Path::new(DEFAULT_CGROUP_ROOT);
        let below = |dirs: &[PathBuf], mount: &str| {
            let mut below = dirs.iter().filter_map(|dir| dir.strip_prefix(mount).ok());
            Some(below.next()?.to_owned())
        };
        let (new_root, below) = match setup {
            CgroupSetup::Unified => (Root::AsItIs, below(&cgroup.dirs, DEFAULT_CGROUP_ROOT)?),
            CgroupSetup::Hybrid => (
                Root::Unified {
                    path: HYBRID.into(),
                    read_only: false,
                },
                below(&cgroup.visited, HYBRID)?,
            ),
            // Its root is the only v2 cgroup that is there for certain.
            CgroupSetup::Legacy => (Root::New, PathBuf::new()),
        };
        Some(Self {
            root: new_root,
            procs: Some(root.join(&below).join(PROCS)),
            told: Path::new("/").join(below),
        })
    }

    /// Whether the cgroup is in a v2 hierarchy, and in no other.
    pub fn is_unified(&self) -> bool {
        self.root == Root::AsItIs
    }

    /// `linux.cgroupsPath` as libcontainer is to be told of it.
    pub fn told(&self) -> &Path {
        &self.told
    }

    /// Where to unmount, once, to see all cgroups again.
    pub fn top(&self) -> Option<&Path> {
        match self.root {
            Root::AsItIs => self.procs.as_deref()?.parent(),
            _ => Some(Path::new(DEFAULT_CGROUP_ROOT)),
        }
    }

    /// Mounts it. The namespace must be this process's own.
    fn make(&self) -> nix::Result<()> {
        let root = DEFAULT_CGROUP_ROOT;
        // What is mounted below goes to no other namespace.
        mount(NONE, root, NONE, MsFlags::MS_SLAVE, NONE)?;
        match &self.root {
            Root::AsItIs => {
                if let Some(dir) = self.top() {
                    mount(Some(dir), dir, NONE, MsFlags::MS_BIND, NONE)?;
                    keep_from_killing(dir)?;
                }
            }
            Root::Unified { path, read_only } => {
                mount(Some(path), root, NONE, MsFlags::MS_BIND, NONE)?;
                mount(NONE, root, NONE, MsFlags::MS_PRIVATE, NONE)?;
                if *read_only {
                    let keep = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
                    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
                    mount(NONE, root, NONE, flags | keep, NONE)?;
                }
            }
            Root::New => {
                let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
                mount(Some("cgroup2"), root, Some("cgroup2"), flags, NONE)?;
                mount(NONE, root, NONE, MsFlags::MS_PRIVATE, NONE)?;
            }
        }
        match &self.procs {
            Some(procs) => mount(Some("/dev/null"), procs, NONE, MsFlags::MS_BIND, NONE),
            None => Ok(()),
        }
    }
}

/// libcontainer kills all that is in the cgroup of a container that it could not build: the process
/// that it runs in, where that was born there, and its answer with it. A file that nobody can write
/// to makes it give up.
fn keep_from_killing(dir: &Path) -> nix::Result<()> {
    let events = dir.join("cgroup.events");
    match mount(
        Some(&events),
        &dir.join("cgroup.kill"),
        NONE,
        MsFlags::MS_BIND,
        NONE,
    ) {
        // Before Linux 5.14 there is none, and it kills by the list that it is not shown.
        Err(Errno::ENOENT) => Ok(()),
        mounted => mounted,
    }
}

/// A stay of this process where cgroups are hidden, from it and those that it forks; ended by
/// dropping it.
#[derive(Debug)]
pub struct Hidden {
    stay: Stay,
    /// Its root directory, where cgroups are hidden.
    root: File,
}

impl Hidden {
    /// Hides the cgroups by `cover`.
    ///
    /// # Errors
    /// Where this process may not mount; it is then where it was.
    pub fn enter(cover: &Cover) -> Result<Self, CgroupError> {
        let failed = |source: io::Error| CgroupError::Io {
            what: "cannot hide",
            path: DEFAULT_CGROUP_ROOT.into(),
            source,
        };
        let stay = Stay::begin().map_err(failed)?;
        cover.make().map_err(|errno| failed(errno.into()))?;
        let root = File::open("/").map_err(failed)?;
        Ok(Self { stay, root })
    }

    /// The root directory of this process, for one that is forked and has another.
    pub fn root(&self) -> RawFd {
        self.root.as_raw_fd()
    }

    /// Its descriptors, of which a process that is forked meanwhile has copies.
    pub fn descriptors(&self) -> [RawFd; 4] {
        let [home, home_root, dir] = self.stay.descriptors();
        [home, home_root, dir, self.root()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_libcontainer_writes_to_is_the_one_that_is_covered() {
        let cgroup = |dirs: &[&str], visited: &[&str]| Cgroup {
            dirs: dirs.iter().map(PathBuf::from).collect(),
            visited: visited.iter().map(PathBuf::from).collect(),
        };
        let v1 = ["/sys/fs/cgroup/cpu/a/b", "/sys/fs/cgroup/pids/a/b"];
        let hybrid = ["/sys/fs/cgroup/systemd/a/b", "/sys/fs/cgroup/unified/a/b"];
        let cases = [
            (CgroupSetup::Unified, cgroup(&["/sys/fs/cgroup/a/b"], &[])),
            (CgroupSetup::Hybrid, cgroup(&v1, &hybrid)),
            (CgroupSetup::Legacy, cgroup(&v1, &hybrid[..1])),
        ];
        let expected = [
            ("/a/b", "/sys/fs/cgroup/a/b"),
            ("/a/b", "/sys/fs/cgroup"),
            ("/", "/sys/fs/cgroup"),
        ];
        for ((setup, cgroup), (told, top)) in cases.iter().zip(expected) {
            let cover = Cover::on(setup, cgroup).unwrap();
            assert_eq!(cover.told(), Path::new(told), "{setup}");
            assert_eq!(cover.top(), Some(Path::new(top)), "{setup}");
            // As libcgroups joins it: the root, and the path without its slash.
            let below = cover.told().strip_prefix("/").unwrap();
            let written = Path::new(DEFAULT_CGROUP_ROOT).join(below).join(PROCS);
            assert_eq!(cover.procs.as_ref(), Some(&written), "{setup}");
        }
        assert_eq!(Cover::on(&CgroupSetup::Hybrid, &cgroup(&v1, &[])), None);
    }
}
