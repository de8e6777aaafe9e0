//! Where the cgroup of a container is.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use procfs::process::Process;

use super::CgroupError;

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
}
