//! Where the devices of a process are controlled: its cgroup in the hierarchy of the v1 devices
//! controller, or in the unified one (cgroups(7), proc_pid_cgroup(5), proc_pid_mountinfo(5)).
//!
//! It is read from the process rather than worked out from `cgroupsPath`, so it does not matter who
//! made the cgroup: libcgroups or systemd.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

/// Where the cgroup file systems are mounted, by the same convention as in libcgroups.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// Which controller decides over devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hierarchy {
    /// The v1 devices controller (v1 and hybrid set-ups).
    V1,
    /// A program attached to the cgroup of the unified hierarchy.
    V2,
}

/// The cgroup that decides over the devices of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevicesCgroup {
    /// The hierarchy it is in.
    pub hierarchy: Hierarchy,
    /// The path in `/proc/PID/cgroup`, seen from our cgroup namespace.
    pub path: PathBuf,
    /// Its directory.
    pub dir: PathBuf,
}

/// A process whose devices cgroup cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HierarchyError {
    /// A file of /proc cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Neither the v1 devices controller nor a unified hierarchy is mounted.
    #[error("no cgroup hierarchy controls devices")]
    NoHierarchy,
    /// The process is in no cgroup of the hierarchy.
    #[error("{} names no cgroup of the {} hierarchy", file.display(), name(*hierarchy))]
    NotAMember {
        /// `/proc/PID/cgroup`.
        file: PathBuf,
        /// The hierarchy that controls devices.
        hierarchy: Hierarchy,
    },
    /// The cgroup lies above the root of our cgroup namespace.
    #[error("cgroup {} is outside of this cgroup namespace", path.display())]
    OutsideOfNamespace {
        /// The path in `/proc/PID/cgroup`.
        path: PathBuf,
    },
    /// No mount shows the cgroup.
    #[error("cgroup {} is below no mounted {} hierarchy", path.display(), name(*hierarchy))]
    NotMounted {
        /// The path in `/proc/PID/cgroup`.
        path: PathBuf,
        /// The hierarchy that controls devices.
        hierarchy: Hierarchy,
    },
}

fn name(hierarchy: Hierarchy) -> &'static str {
    match hierarchy {
        Hierarchy::V1 => "v1 devices",
        Hierarchy::V2 => "unified",
    }
}

impl HierarchyError {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoHierarchy | Self::NotMounted { .. } => Some(format!(
                "mount cgroup2 at {CGROUP_ROOT}, or the v1 devices controller at \
                 {CGROUP_ROOT}/devices"
            )),
            Self::OutsideOfNamespace { .. } => {
                Some("run the engine and the runtime in the same cgroup namespace".to_string())
            }
            Self::Read { .. } | Self::NotAMember { .. } => None,
        }
    }
}

impl DevicesCgroup {
    /// The cgroup that decides over the devices of process `pid`.
    ///
    /// # Errors
    /// The process is gone, no hierarchy controls devices, or the cgroup is not visible from here.
    pub fn of_process(pid: i32) -> Result<Self, HierarchyError> {
        let mounts = read(Path::new("/proc/self/mountinfo"))?;
        let hierarchy = hierarchy(&mounts).ok_or(HierarchyError::NoHierarchy)?;
        let file = PathBuf::from(format!("/proc/{pid}/cgroup"));
        let path = path_in(&read(&file)?, hierarchy)
            .ok_or(HierarchyError::NotAMember { file, hierarchy })?;
        let dir = directory(&mounts, hierarchy, &path)?;
        Ok(Self {
            hierarchy,
            path,
            dir,
        })
    }
}

/// The path of the calling process's own cgroup, as in `/proc/self/cgroup`.
///
/// # Errors
/// `/proc/self/cgroup` cannot be read or names none.
pub fn path_of_self(hierarchy: Hierarchy) -> Result<PathBuf, HierarchyError> {
    let file = PathBuf::from("/proc/self/cgroup");
    path_in(&read(&file)?, hierarchy).ok_or(HierarchyError::NotAMember { file, hierarchy })
}

/// Whether a process with the cgroup `process` is in `cgroup` or below it, so that device rules for
/// `cgroup` bind it. The root holds every process.
pub fn holds(cgroup: &Path, process: &Path) -> bool {
    process.starts_with(cgroup)
}

fn read(path: &Path) -> Result<Vec<u8>, HierarchyError> {
    read_whole(path).map_err(|source| HierarchyError::Read {
        path: path.to_path_buf(),
        source,
    })
}

/// A file of the kernel's, which has no size, in a few reads: fs::read(1) begins with 32 bytes.
pub(super) fn read_whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::with_capacity(8 << 10);
    fs::File::open(path)?
        .take(u64::MAX)
        .read_to_end(&mut text)?;
    Ok(text)
}

/// A line of mountinfo, as far as it matters here.
///
/// Own parser: the one of the procfs crate fails as a whole on one mount point that is not UTF-8
/// (anyone's, anywhere on the host), and does not undo the octal escapes.
struct CgroupMount {
    /// The directory of the file system that is mounted.
    root: PathBuf,
    mount_point: PathBuf,
    hierarchy: Hierarchy,
}

impl CgroupMount {
    /// `None` for a mount of anything but the hierarchies that can control devices.
    fn parse(line: &[u8]) -> Option<Self> {
        let fields: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
        let separator = 6 + fields.get(6..)?.iter().position(|field| *field == b"-")?;
        let [fs_type, _source, super_options] = fields.get(separator + 1..separator + 4)? else {
            return None;
        };
        let hierarchy = match *fs_type {
            b"cgroup2" => Hierarchy::V2,
            b"cgroup" if super_options.split(|b| *b == b',').any(|o| o == b"devices") => {
                Hierarchy::V1
            }
            _ => return None,
        };
        Some(Self {
            root: unescape(fields.get(3)?),
            mount_point: unescape(fields.get(4)?),
            hierarchy,
        })
    }
}

/// Undoes the octal escapes of mountinfo (space, tab, newline, backslash).
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let digits = tail.get(..3).and_then(|digits| str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

/// The mounts of both kinds, the latest first: it hides earlier ones at the same place.
fn cgroup_mounts(mountinfo: &[u8]) -> impl Iterator<Item = CgroupMount> {
    mountinfo
        .rsplit(|byte| *byte == b'\n')
        .filter_map(CgroupMount::parse)
}

/// The hierarchy that controls devices: the unified one where it is mounted at `/sys/fs/cgroup`
/// itself, else the v1 devices controller. libcgroups decides in the same way.
fn hierarchy(mountinfo: &[u8]) -> Option<Hierarchy> {
    let unified = |mount: &CgroupMount| {
        mount.hierarchy == Hierarchy::V2 && mount.mount_point == Path::new(CGROUP_ROOT)
    };
    if cgroup_mounts(mountinfo).any(|mount| unified(&mount)) {
        return Some(Hierarchy::V2);
    }
    cgroup_mounts(mountinfo)
        .any(|mount| mount.hierarchy == Hierarchy::V1)
        .then_some(Hierarchy::V1)
}

/// The path of the hierarchy's line in a `/proc/PID/cgroup`.
fn path_in(proc_cgroup: &[u8], hierarchy: Hierarchy) -> Option<PathBuf> {
    proc_cgroup.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.splitn(3, |byte| *byte == b':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        let matches = match hierarchy {
            Hierarchy::V1 => controllers
                .split(|byte| *byte == b',')
                .any(|c| c == b"devices"),
            Hierarchy::V2 => id == b"0" && controllers.is_empty(),
        };
        matches.then(|| PathBuf::from(OsStr::from_bytes(path)))
    })
}

/// The directory that shows the cgroup `path`.
fn directory(
    mountinfo: &[u8],
    hierarchy: Hierarchy,
    path: &Path,
) -> Result<PathBuf, HierarchyError> {
    if path
        .components()
        .any(|component| component == Component::ParentDir)
    {
        return Err(HierarchyError::OutsideOfNamespace {
            path: path.to_path_buf(),
        });
    }
    let below = |mount: CgroupMount| {
        let rest = path.strip_prefix(&mount.root).ok()?;
        // Joining an empty path would add a slash.
        Some(
            mount
                .mount_point
                .components()
                .chain(rest.components())
                .collect::<PathBuf>(),
        )
    };
    let mut candidates: Vec<PathBuf> = cgroup_mounts(mountinfo)
        .filter(|mount| mount.hierarchy == hierarchy)
        .filter_map(below)
        .collect();
    // Copies of the mounts elsewhere (a host's /sys seen from a pod) come second.
    candidates.sort_by_key(|dir| !dir.starts_with(CGROUP_ROOT));
    candidates
        .into_iter()
        .next()
        .ok_or_else(|| HierarchyError::NotMounted {
            path: path.to_path_buf(),
            hierarchy,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
32 31 0:29 / /sys/fs/cgroup/unified rw,nosuid shared:10 - cgroup2 cgroup2 rw,nsdelegate
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 - cgroup cgroup rw,cpu,cpuacct
36 31 0:33 / /sys/fs/cgroup/devices rw shared:12 master:3 - cgroup cgroup rw,devices
";
    const UNIFIED: &str = "\
29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate
40 29 0:50 / /proc rw - proc proc rw
";

    #[test]
    fn the_unified_hierarchy_controls_devices_where_it_is_all_there_is() {
        assert_eq!(hierarchy(UNIFIED.as_bytes()), Some(Hierarchy::V2));
        assert_eq!(hierarchy(HYBRID.as_bytes()), Some(Hierarchy::V1));
        assert_eq!(hierarchy(b"40 29 0:50 / /proc rw - proc proc rw\n"), None);
        // A v1 hierarchy without the devices controller, and a cgroup2 elsewhere, do not count.
        let neither = HYBRID.lines().take(3).collect::<Vec<_>>().join("\n");
        assert_eq!(hierarchy(neither.as_bytes()), None);
    }

    #[test]
    fn the_unified_hierarchy_mounted_over_v1_hides_it() {
        let both = format!("{HYBRID}{UNIFIED}");
        assert_eq!(hierarchy(both.as_bytes()), Some(Hierarchy::V2));
    }

    #[test]
    fn a_process_has_a_path_in_each_hierarchy() {
        let text = b"5:cpu,cpuacct:/cpu\n4:devices:/docker/a:b\n1:name=systemd:/s\n0::/unified\n";
        assert_eq!(
            path_in(text, Hierarchy::V1),
            Some(PathBuf::from("/docker/a:b"))
        );
        assert_eq!(
            path_in(text, Hierarchy::V2),
            Some(PathBuf::from("/unified"))
        );
        let joint = b"7:blkio,devices:/x\n";
        assert_eq!(path_in(joint, Hierarchy::V1), Some(PathBuf::from("/x")));
        assert_eq!(path_in(joint, Hierarchy::V2), None);
        // A named hierarchy is not the controller of that name.
        assert_eq!(path_in(b"3:name=devices:/x\n", Hierarchy::V1), None);
    }

    #[test]
    fn a_path_leads_to_a_directory() {
        let pod = "\
50 40 0:33 /kubepods/p1 /sys/fs/cgroup/devices ro - cgroup cgroup rw,devices
51 40 0:33 / /host/sys/fs/cgroup/devices ro - cgroup cgroup rw,devices
";
        let spaced = "9 8 0:33 /a\\040b /sys/fs/cgroup/de\\134v rw - cgroup cgroup rw,devices\n";
        let cases = [
            (
                HYBRID,
                Hierarchy::V1,
                "/docker/abc",
                "/sys/fs/cgroup/devices/docker/abc",
            ),
            (HYBRID, Hierarchy::V1, "/", "/sys/fs/cgroup/devices"),
            (
                UNIFIED,
                Hierarchy::V2,
                "/s.slice/c.scope",
                "/sys/fs/cgroup/s.slice/c.scope",
            ),
            // A mount of a part of the hierarchy shows what is below it.
            (
                pod,
                Hierarchy::V1,
                "/kubepods/p1/c1",
                "/sys/fs/cgroup/devices/c1",
            ),
            (pod, Hierarchy::V1, "/kubepods/p1", "/sys/fs/cgroup/devices"),
            (
                pod,
                Hierarchy::V1,
                "/kubepods/p10",
                "/host/sys/fs/cgroup/devices/kubepods/p10",
            ),
            (spaced, Hierarchy::V1, "/a b/c", "/sys/fs/cgroup/de\\v/c"),
        ];
        for (mounts, hierarchy, path, expected) in cases {
            let dir = directory(mounts.as_bytes(), hierarchy, Path::new(path)).unwrap();
            assert_eq!(dir.as_os_str(), expected);
        }
    }

    #[test]
    fn a_path_that_is_not_visible_is_an_error() {
        let part =
            b"50 40 0:33 /kubepods/p1 /sys/fs/cgroup/devices ro - cgroup cgroup rw,devices\n";
        let error = directory(part, Hierarchy::V1, Path::new("/kubepods/p10")).unwrap_err();
        assert!(
            matches!(error, HierarchyError::NotMounted { .. }),
            "{error}"
        );

        for path in ["/../sibling", "/a/../b", "/.."] {
            let error = directory(HYBRID.as_bytes(), Hierarchy::V1, Path::new(path)).unwrap_err();
            assert!(
                matches!(error, HierarchyError::OutsideOfNamespace { .. }),
                "{error}"
            );
        }
        // The mount was made from above the root of this cgroup namespace.
        let above = b"50 40 0:33 /../.. /sys/fs/cgroup/devices rw - cgroup cgroup rw,devices\n";
        let error = directory(above, Hierarchy::V1, Path::new("/x")).unwrap_err();
        assert!(
            matches!(error, HierarchyError::NotMounted { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_cgroup_holds_what_is_in_it_and_below() {
        for (cgroup, process, expected) in [
            ("/", "/", true),
            ("/", "/system.slice/docker.service", true),
            ("/docker", "/docker", true),
            ("/docker", "/docker/a", true),
            ("/docker/a", "/docker", false),
            ("/docker/a", "/docker/ab", false),
        ] {
            let holds = holds(Path::new(cgroup), Path::new(process));
            assert_eq!(holds, expected, "{cgroup} {process}");
        }
    }

    #[test]
    fn lines_of_mountinfo_that_are_not_understood_are_passed_over() {
        let mut mounts = b"1 2 0:3 / /m\xff\xfe rw - ext4 /dev/sda rw\n\nshort line\n".to_vec();
        mounts.extend(HYBRID.bytes());
        assert_eq!(hierarchy(&mounts), Some(Hierarchy::V1));
    }
}
