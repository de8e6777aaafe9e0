//! What the root filesystem of a container is to look like: a pure function of its spec.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use discovery::edits::DeviceNode;
use libcontainer::oci_spec::runtime::{
    Linux, LinuxDevice, LinuxDeviceType, LinuxIdMapping, LinuxNamespaceType, Mount, Spec,
};
use serde::{Deserialize, Serialize};

use super::error::{MountError, Step, at};
use super::options::{self, MountOptions};
use crate::cgroup::visit::join;
use crate::process::selinux;
use crate::spec::SpecError;

/// What is made in the root filesystem, in the order of the fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The root filesystem on the host, absolute, without symlinks.
    pub rootfs: PathBuf,
    /// The namespaces that the spec gives the container, by their `CLONE_NEW*` flags.
    pub namespaces: i32,
    /// `linux.rootfsPropagation`: `MS_*`, or 0 for the default.
    pub propagation: u64,
    /// The mounts, in the order of the spec.
    pub mounts: Vec<PlannedMount>,
    /// The device nodes; `None` where /dev is another's, bound there by the spec.
    pub devices: Option<Vec<Device>>,
    /// The working directory, which is made where it is missing.
    pub cwd: PathBuf,
    /// `linux.mountLabel`: the SELinux context of new file systems, where the host has SELinux.
    pub label: Option<String>,
    /// Whether the host's mounts stay in the container's mount namespace.
    pub no_pivot: bool,
    /// File that gets the container's init, for a container that no cgroup tells of.
    pub init_file: Option<PathBuf>,
    /// Mount point of what hides the host's cgroups.
    pub cgroup_cover: Option<PathBuf>,
    /// The container's cgroup, for who copies from the image into memory.
    pub cgroup_dirs: Vec<PathBuf>,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMount {
    /// Where, in the container; a path below the host's path of the root filesystem
    /// means the same, as with runc.
    pub destination: PathBuf,
    /// What is mounted.
    pub kind: Kind,
    /// Its source: a path of the host for a bind mount, a name otherwise.
    pub source: PathBuf,
    /// How.
    pub options: MountOptions,
    /// How ids are mapped, where they are.
    pub id_map: Option<IdMap>,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A part of the host's file system tree.
    Bind,
    /// The cgroup v2 hierarchy.
    Cgroup,
    /// A file system of this type.
    FileSystem(String),
}

/// The id mapping of a mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// Whether mounts below it are mapped, too.
    pub recursive: bool,
    /// The lines of uid_map and gid_map (user_namespaces(7)); `None` for those of the
    /// container's user namespace.
    pub lines: Option<(String, String)>,
}

/// One device node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its path in the container, and on the host.
    pub path: PathBuf,
    /// Type and permissions, as mknod(2) takes them.
    pub mode: u32,
    /// Its numbers.
    pub major: u64,
    /// See `major`.
    pub minor: u64,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Whether the spec names it, and not every container has it.
    pub of_spec: bool,
}

impl Device {
    /// The node of a GPU.
    pub fn granted(node: &DeviceNode) -> Self {
        Self {
            path: node.path.clone(),
            mode: libc::S_IFCHR | node.mode & 0o7777,
            major: node.major.into(),
            minor: node.minor.into(),
            uid: node.uid,
            gid: node.gid,
            of_spec: true,
        }
    }
}

impl Plan {
    /// The plan for a container with root filesystem `rootfs`, from the bundle at
    /// `bundle`, to which relative sources of bind mounts are relative.
    ///
    /// # Errors
    /// In runc's words, where it would refuse the spec: options of a file system on a bind
    /// mount, an id mapping that cannot be.
    pub fn of(spec: &Spec, rootfs: &Path, bundle: &Path) -> Result<Self, SpecError> {
        let default = Linux::default();
        let linux = spec.linux().as_ref().unwrap_or(&default);
        let namespaces = namespaces(linux);
        let mounts = spec.mounts().iter().flatten();
        let mounts = mounts
            .map(|mount| planned(mount, bundle, namespaces & libc::CLONE_NEWUSER != 0))
            .collect::<Result<Vec<_>, _>>()?;
        let own_dev = !mounts.iter().any(|mount| {
            mount.kind == Kind::Bind && clean(&mount.destination) == Path::new("/dev")
        });
        let process = spec.process().as_ref();
        Ok(Self {
            rootfs: rootfs.to_owned(),
            namespaces,
            propagation: root_propagation(linux)?,
            mounts,
            devices: own_dev.then(|| devices(linux)),
            cwd: process.map_or_else(PathBuf::new, |process| process.cwd().clone()),
            label: linux
                .mount_label()
                .clone()
                .filter(|label| !label.is_empty() && selinux::is_enabled()),
            no_pivot: false,
            init_file: None,
            cgroup_cover: None,
            cgroup_dirs: Vec::new(),
        })
    }

    /// Puts this process, which is about to make the mounts, in the container's cgroup where it
    /// copies files of the image into a tmpfs: they count against the memory of who writes them.
    ///
    /// # Errors
    /// Names the directory that cannot be joined.
    pub fn join_cgroup_to_copy(&self) -> Result<(), MountError> {
        if !self.mounts.iter().any(|mount| mount.options.copy_up) {
            return Ok(());
        }
        let mut dirs = self.cgroup_dirs.iter();
        dirs.try_for_each(|dir| join(dir, 0).step(|| at("join the container's cgroup", dir)))
    }

    /// Whether the container gets a user namespace: no device node can be made there.
    pub fn has_user_namespace(&self) -> bool {
        self.namespaces & libc::CLONE_NEWUSER != 0
    }
}

impl PlannedMount {
    /// Whether it is made writable, and read-only only once everything is in it: device
    /// nodes, mount points of later mounts (runc's `finalizeRootfs`).
    pub fn is_read_only_late(&self) -> bool {
        self.options.has(libc::MS_RDONLY)
            && (self.kind == Kind::FileSystem("tmpfs".into())
                || clean(&self.destination) == Path::new("/dev"))
    }
}

/// A path without `.`, `..` and double slashes, absolute; symlinks are not looked at.
pub fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::from("/");
    for component in path.components() {
        match component {
            std::path::Component::Normal(name) => cleaned.push(name),
            std::path::Component::ParentDir => {
                cleaned.pop();
            }
            _ => {}
        }
    }
    cleaned
}

fn namespaces(linux: &Linux) -> i32 {
    let namespaces = linux.namespaces().iter().flatten();
    let flags = namespaces.map(|namespace| match namespace.typ() {
        LinuxNamespaceType::Mount => libc::CLONE_NEWNS,
        LinuxNamespaceType::Cgroup => libc::CLONE_NEWCGROUP,
        LinuxNamespaceType::Uts => libc::CLONE_NEWUTS,
        LinuxNamespaceType::Ipc => libc::CLONE_NEWIPC,
        LinuxNamespaceType::User => libc::CLONE_NEWUSER,
        LinuxNamespaceType::Pid => libc::CLONE_NEWPID,
        LinuxNamespaceType::Network => libc::CLONE_NEWNET,
        // No mount depends on it.
        LinuxNamespaceType::Time => 0,
    });
    flags.fold(0, |all, flag| all | flag)
}

fn root_propagation(linux: &Linux) -> Result<u64, SpecError> {
    match linux.rootfs_propagation().as_deref() {
        None | Some("") => Ok(0),
        Some(name) => options::propagation(name)
            .ok_or_else(|| SpecError::Field(format!("rootfsPropagation={name} is not supported"))),
    }
}

fn planned(mount: &Mount, bundle: &Path, user_namespace: bool) -> Result<PlannedMount, SpecError> {
    let words = mount.options().iter().flatten().map(String::as_str);
    let mut options = MountOptions::parse(words);
    let destination = mount.destination();
    let refuse = |why: &str| {
        let message = format!("invalid mount {}: {why}", destination.display());
        Err(SpecError::Field(message))
    };
    let typ = mount.typ().as_deref().unwrap_or_default();
    let mut source = mount.source().clone().unwrap_or_default();
    let is_bind = options.has(libc::MS_BIND) || typ == "bind";
    let kind = match typ {
        _ if is_bind => Kind::Bind,
        "cgroup" => Kind::Cgroup,
        typ => Kind::FileSystem(typ.to_owned()),
    };
    if is_bind {
        source = bundle.join(source);
        options.set |= libc::MS_BIND;
        if !options.data.iter().all(String::is_empty) {
            return refuse("bind mounts cannot have any filesystem-specific options applied");
        }
    } else if options.has(libc::MS_REMOUNT) {
        return refuse("remount: only a bind mount can be changed by another");
    }
    let id_map = match id_map(mount, &options, user_namespace) {
        Err(why) => return refuse(why),
        Ok(Some(_)) if !is_bind => {
            return refuse("id-mapped mounts are only supported for bind-mounts");
        }
        Ok(id_map) => id_map,
    };
    Ok(PlannedMount {
        destination: destination.clone(),
        kind,
        source,
        options,
        id_map,
    })
}

/// The id mapping of a mount. One without mappings of its own takes those of the
/// container's user namespace.
fn id_map(
    mount: &Mount,
    options: &MountOptions,
    user_namespace: bool,
) -> Result<Option<IdMap>, &'static str> {
    let (uids, gids) = (mount.uid_mappings(), mount.gid_mappings());
    let asked = options.id_map.is_some() || uids.is_some() || gids.is_some();
    if !asked {
        return Ok(None);
    }
    let recursive = options.id_map == Some(true);
    let lines = match (uids.as_deref(), gids.as_deref()) {
        (None, None) if user_namespace => None,
        (Some(uids @ [_, ..]), Some(gids @ [_, ..])) => Some((map_lines(uids), map_lines(gids))),
        _ => return Err("id-mapped mounts must have both uid and gid mappings specified"),
    };
    Ok(Some(IdMap { recursive, lines }))
}

/// The lines of /proc/PID/uid_map.
fn map_lines(mappings: &[LinuxIdMapping]) -> String {
    let line =
        |map: &LinuxIdMapping| format!("{} {} {}\n", map.container_id(), map.host_id(), map.size());
    mappings.iter().map(line).collect()
}

/// The devices that every container has (runc's `AllowedDevices`), but for those that the
/// spec has itself, and then those. /dev/ptmx is always a link to the container's own.
fn devices(linux: &Linux) -> Vec<Device> {
    let of_spec = linux.devices().as_deref().unwrap_or_default();
    let own: HashSet<_> = of_spec.iter().map(|device| clean(device.path())).collect();
    let usual = [
        ("/dev/null", 1, 3),
        ("/dev/random", 1, 8),
        ("/dev/full", 1, 7),
        ("/dev/tty", 5, 0),
        ("/dev/zero", 1, 5),
        ("/dev/urandom", 1, 9),
    ];
    let usual = usual.into_iter().map(|(path, major, minor)| Device {
        path: path.into(),
        mode: libc::S_IFCHR | 0o666,
        major,
        minor,
        uid: 0,
        gid: 0,
        of_spec: false,
    });
    usual
        .filter(|device| !own.contains(&device.path))
        .chain(of_spec.iter().map(device))
        .filter(|device| clean(&device.path) != Path::new("/dev/ptmx"))
        .collect()
}

fn device(device: &LinuxDevice) -> Device {
    let kind = match device.typ() {
        LinuxDeviceType::B => libc::S_IFBLK,
        LinuxDeviceType::P => libc::S_IFIFO,
        _ => libc::S_IFCHR,
    };
    Device {
        path: device.path().clone(),
        mode: kind | device.file_mode().unwrap_or(0o666) & 0o7777,
        // Negative numbers make no device: mknod(2) refuses what they become.
        major: device.major().try_into().unwrap_or(u64::MAX),
        minor: device.minor().try_into().unwrap_or(u64::MAX),
        uid: device.uid().unwrap_or(0),
        gid: device.gid().unwrap_or(0),
        of_spec: true,
    }
}

#[cfg(test)]
mod tests;
