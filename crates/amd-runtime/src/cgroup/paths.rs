//! Where the cgroup of a container is.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use procfs::process::Process;

use super::{Cgroup, CgroupError};

/// The cgroup that a container with this `linux.cgroupsPath` has under the fs driver; its
/// directories need not exist.
///
/// # Errors
/// Where the path climbs or names a root, or no hierarchy is mounted.
pub fn fs_driver_cgroup(cgroups_path: &Path) -> Result<Cgroup, CgroupError> {
    let below = below_root(cgroups_path).ok_or_else(|| CgroupError::Path {
        path: cgroups_path.to_owned(),
    })?;
    let mounts = Process::myself()
        .and_then(|p| p.mountinfo())
        .map_err(CgroupError::Mounts)?;
    let hierarchies = Hierarchies::of(mounts.0.iter().map(|mount| {
        let name = |(key, value): (&String, &Option<String>)| match value {
            Some(value) => format!("{key}={value}"),
            None => key.clone(),
        };
        (
            mount.fs_type.as_str(),
            mount.mount_point.as_path(),
            mount.super_options.iter().map(name).collect(),
        )
    }));
    if hierarchies.joined.is_empty() {
        return Err(CgroupError::NoHierarchy);
    }
    let dirs = |roots: BTreeSet<PathBuf>| roots.into_iter().map(|dir| dir.join(&below)).collect();
    Ok(Cgroup {
        dirs: dirs(hierarchies.joined),
        visited: dirs(hierarchies.visited),
    })
}

/// The mount points of the hierarchies that a container is put in.
#[derive(Debug, Default, PartialEq, Eq)]
struct Hierarchies {
    /// By libcontainer: all v1 ones with a controller that it knows, or, where /sys/fs/cgroup is
    /// v2, that one.
    joined: BTreeSet<PathBuf>,
    /// By us, see [`super::visit`].
    visited: BTreeSet<PathBuf>,
}

impl Hierarchies {
    /// Of the mounts of this host: type, mount point, and options of the file system.
    fn of<'a>(mounts: impl Iterator<Item = (&'a str, &'a Path, Vec<String>)>) -> Self {
        let root = Path::new(libcgroups::common::DEFAULT_CGROUP_ROOT);
        let mut found = Self::default();
        for (fs_type, dir, options) in mounts {
            let any = |names: &[&str]| options.iter().any(|name| names.contains(&name.as_str()));
            let below = |roots: &mut BTreeSet<PathBuf>| roots.insert(dir.to_owned());
            match fs_type {
                "cgroup2" if dir == root => {
                    return Self {
                        joined: BTreeSet::from([dir.to_owned()]),
                        visited: BTreeSet::new(),
                    };
                }
                "cgroup2" if dir == Path::new(HYBRID) => below(&mut found.visited),
                "cgroup" if any(&LIBCGROUPS_CONTROLLERS) => below(&mut found.joined),
                "cgroup" if any(&OTHER_CONTROLLERS) => below(&mut found.visited),
                _ => false,
            };
        }
        found
    }
}

/// Where systemd, and runc after it, expect v2 beside v1.
pub(super) const HYBRID: &str = "/sys/fs/cgroup/unified";

/// The controllers that libcgroups joins on v1 (its `CONTROLLERS`).
const LIBCGROUPS_CONTROLLERS: [&str; 12] = [
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

/// Those that runc joins beside (`subsystems` in its package cgroups/fs).
const OTHER_CONTROLLERS: [&str; 3] = ["name=systemd", "rdma", "misc"];

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

    fn hierarchies(mounts: &[(&'static str, &'static str, &str)]) -> (Vec<String>, Vec<String>) {
        let found = Hierarchies::of(mounts.iter().map(|(fs_type, dir, options)| {
            let options = options.split(',').map(str::to_owned).collect();
            (*fs_type, Path::new(*dir), options)
        }));
        let text = |roots: BTreeSet<PathBuf>| {
            let text = |root: PathBuf| root.display().to_string();
            roots.into_iter().map(text).collect()
        };
        (text(found.joined), text(found.visited))
    }

    #[test]
    fn a_container_is_in_all_hierarchies_that_runc_puts_it_in() {
        let hybrid = [
            ("tmpfs", "/sys/fs/cgroup", "rw"),
            ("cgroup", "/sys/fs/cgroup/cpu,cpuacct", "rw,cpu,cpuacct"),
            ("cgroup", "/sys/fs/cgroup/devices", "rw,devices"),
            ("cgroup", "/sys/fs/cgroup/systemd", "rw,name=systemd"),
            ("cgroup", "/sys/fs/cgroup/other", "rw,name=other"),
            ("cgroup2", "/sys/fs/cgroup/unified", "rw"),
            ("cgroup2", "/mnt", "rw"),
        ];
        let (joined, visited) = hierarchies(&hybrid);
        assert_eq!(
            joined,
            ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/devices"]
        );
        assert_eq!(
            visited,
            ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified"]
        );
    }

    #[test]
    fn on_v2_there_is_one_hierarchy() {
        let v2 = [("cgroup2", "/sys/fs/cgroup", "rw")];
        let (joined, visited) = hierarchies(&v2);
        assert_eq!(
            (joined, visited.len()),
            (vec!["/sys/fs/cgroup".to_owned()], 0)
        );
        assert_eq!(hierarchies(&[]), (vec![], vec![]));
    }
}
