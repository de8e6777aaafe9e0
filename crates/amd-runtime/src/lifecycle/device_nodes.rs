//! The device nodes of a container, looked at after libcontainer made them.
//!
//! They are made at paths of the image, which can be hostile. Here they are opened
//! below the container's own root (`/proc/PID/root`), through no symbolic link, while
//! the container's program has not started.

use std::collections::BTreeSet;
use std::fs::{File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use discovery::edits::DeviceNode;
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{SFlag, fstat, major, minor};
use serde_json::Value;

use crate::error::{Error, Result};

/// The root of a container's file system, as its init sees it.
pub struct ContainerRoot(File);

impl ContainerRoot {
    /// The root of process `pid`.
    ///
    /// # Errors
    /// Where the process may not be looked at, or is gone.
    pub fn of(pid: i32) -> Result<Self> {
        let path = PathBuf::from(format!("/proc/{pid}/root"));
        File::options()
            .read(true)
            .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
            .open(&path)
            .map(Self)
            .map_err(|source| Error::Io {
                what: "cannot open",
                path,
                source,
            })
    }

    fn open(&self, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_SYMLINKS;
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(resolve);
        openat2(&self.0, path, how)
    }

    /// Checks that each granted node is there and is the device that was granted.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check_nodes(&self, nodes: &[DeviceNode]) -> Result<()> {
        for node in nodes {
            let what = || {
                format!(
                    "the container's {} is not the GPU's node",
                    node.path.display()
                )
            };
            let fd = self
                .open(&node.path, OFlag::O_PATH)
                .map_err(|err| Error::system(what())(err.into()))?;
            let stat = fstat(&fd).map_err(|err| Error::system(what())(err.into()))?;
            let is_char = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits();
            let numbers = (major(stat.st_rdev), minor(stat.st_rdev));
            if !is_char || numbers != (u64::from(node.major), u64::from(node.minor)) {
                return Err(Error::Status(format!(
                    "{}: expected the character device {}:{}",
                    what(),
                    node.major,
                    node.minor
                )));
            }
        }
        Ok(())
    }

    /// Takes write permission for everybody from the directories below /dev in which
    /// the spec has devices.
    ///
    /// libcontainer makes them under a umask of 0, and so with mode 0777
    /// (`rootfs/device.rs`, `create_dir_all`); runc makes them with 0755. Only what is
    /// on the container's own /dev is touched, never a directory of the image or of a
    /// volume.
    ///
    /// # Errors
    /// Where a directory cannot be changed.
    pub fn restrict_device_dirs(&self, spec: &Value) -> Result<()> {
        let dirs = device_dirs(spec);
        if dirs.is_empty() {
            return Ok(());
        }
        let failed = |err: Errno| Error::system("cannot look at the container's /dev")(err.into());
        let device_of = |path: &Path| {
            self.open(path, OFlag::O_PATH)
                .and_then(|fd| fstat(&fd))
                .map(|stat| stat.st_dev)
        };
        let dev = device_of(Path::new("/dev")).map_err(failed)?;
        if dev == device_of(Path::new("/")).map_err(failed)? {
            return Ok(());
        }
        for dir in dirs {
            // A link or a missing directory: check_nodes decides whether that matters.
            let Ok(fd) = self.open(&dir, OFlag::O_RDONLY | OFlag::O_DIRECTORY) else {
                continue;
            };
            let opened = File::from(fd);
            let io = |source| Error::Io {
                what: "cannot change",
                path: dir.clone(),
                source,
            };
            let metadata = opened.metadata().map_err(io)?;
            if metadata.dev() == dev && metadata.mode() & 0o7777 == 0o777 {
                opened
                    .set_permissions(Permissions::from_mode(0o755))
                    .map_err(io)?;
            }
        }
        Ok(())
    }
}

/// The directories strictly below /dev that hold a device of the spec.
fn device_dirs(spec: &Value) -> BTreeSet<PathBuf> {
    let devices = spec.pointer("/linux/devices").and_then(Value::as_array);
    devices
        .into_iter()
        .flatten()
        .filter_map(|device| device.get("path")?.as_str())
        .flat_map(|path| Path::new(path).ancestors().skip(1))
        .filter(|dir| dir.starts_with("/dev") && *dir != Path::new("/dev"))
        .map(Path::to_path_buf)
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn directories_of_devices_are_those_below_dev() {
        let spec = json!({"linux": {"devices": [
            {"path": "/dev/kfd"}, {"path": "/dev/dri/card1"}, {"path": "/dev/a/b/c"}, {"path": "/x/y"},
        ]}});
        let dirs: Vec<_> = device_dirs(&spec).into_iter().collect();
        assert_eq!(dirs, ["/dev/a", "/dev/a/b", "/dev/dri"].map(PathBuf::from));
        assert!(device_dirs(&json!({})).is_empty());
    }

    #[test]
    fn a_node_is_the_device_that_was_granted_or_an_error() {
        let root = ContainerRoot::of(std::process::id() as i32).unwrap();
        let node = |path: &str, minor| DeviceNode {
            path: path.into(),
            major: 1,
            minor,
            mode: 0o666,
            uid: 0,
            gid: 0,
        };
        root.check_nodes(&[node("/dev/null", 3)]).unwrap();
        for wrong in [
            node("/dev/null", 4),
            node("/dev/no-such", 3),
            node("/dev/fd", 3),
            node("/etc/passwd", 3),
        ] {
            let message = root
                .check_nodes(std::slice::from_ref(&wrong))
                .unwrap_err()
                .to_string();
            assert!(message.contains(wrong.path.to_str().unwrap()), "{message}");
        }
    }
}
