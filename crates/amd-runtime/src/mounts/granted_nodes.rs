//! The device nodes of a container's GPUs, looked at after they were made.
//!
//! An image or a volume can have something else in their place. Here they are opened
//! below the container's own root (`/proc/PID/root`), through no symbolic link, while
//! the container's program has not started.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use discovery::edits::DeviceNode;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::stat::{SFlag, fstatat, major, minor};

use crate::error::{Error, Result};
use crate::path_fd;

/// The root of a container's file system, as its init sees it.
pub struct ContainerRoot(OwnedFd);

impl ContainerRoot {
    /// The root of process `pid`.
    ///
    /// # Errors
    /// Where the process may not be looked at, or is gone.
    pub fn of(pid: i32) -> Result<Self> {
        let path = PathBuf::from(format!("/proc/{pid}/root"));
        path_fd::find(&path, OFlag::O_DIRECTORY)
            .map(Self)
            .map_err(|errno| Error::Io {
                what: "cannot open",
                path,
                source: errno.into(),
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
        // Nodes of one directory follow each other.
        let mut opened: Option<(&Path, OwnedFd)> = None;
        for node in nodes {
            let what = || {
                format!(
                    "the container's {} is not the GPU's node",
                    node.path.display()
                )
            };
            let failed = |err: nix::Error| Error::system(what())(err.into());
            let (Some(parent), Some(name)) = (node.path.parent(), node.path.file_name()) else {
                return Err(Error::Status(what()));
            };
            let dir = match opened.take() {
                Some((path, dir)) if path.as_os_str() == parent.as_os_str() => dir,
                _ => self
                    .open(parent, OFlag::O_PATH | OFlag::O_DIRECTORY)
                    .map_err(failed)?,
            };
            let stat = fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(failed)?;
            opened = Some((parent, dir));
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
