//! `--no-pivot`: the host's mounts stay in the container's mount namespace, below its root.
//!
//! The kernel lets a user namespace mount a /proc or a /sys where it sees a whole one that
//! nothing covers, and it sees those of the host, whatever the container's own have masked.
//! So they go, wherever they are (runc's `msMoveRoot`); libcontainer takes one off /proc and
//! one off /sys.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use procfs::process::{MountInfo, Process};

use super::error::{Result, Step, at};

/// Takes away each whole procfs and sysfs outside of the root filesystem, or covers it
/// where it may not be taken away. There is no /proc afterwards.
///
/// # Errors
/// Where one stays.
pub fn hide_host(rootfs: &Path) -> Result<()> {
    let mounts = Process::myself()
        .and_then(|process| process.mountinfo())
        .map_err(std::io::Error::other)
        .step(|| "read the mounts of the container".into())?;
    for point in whole(mounts.into_iter(), rootfs) {
        hide(&point).step(|| at("hide", &point))?;
    }
    Ok(())
}

fn whole(mounts: impl Iterator<Item = MountInfo>, rootfs: &Path) -> Vec<PathBuf> {
    mounts
        .filter(|mount| matches!(mount.fs_type.as_str(), "proc" | "sysfs") && mount.root == "/")
        .map(|mount| mount.mount_point)
        .filter(|point| !point.starts_with(rootfs))
        .collect()
}

fn hide(point: &Path) -> nix::Result<()> {
    const NONE: Option<&str> = None;
    let slave = MsFlags::MS_SLAVE | MsFlags::MS_REC;
    match mount(NONE, point, NONE, slave, NONE) {
        // It went with one above it.
        Err(Errno::ENOENT) => return Ok(()),
        done => done?,
    }
    match umount2(point, MntFlags::MNT_DETACH) {
        Err(Errno::EINVAL | Errno::EPERM) => mount(
            Some("tmpfs"),
            point,
            Some("tmpfs"),
            MsFlags::MS_RDONLY,
            NONE,
        ),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_file_systems_outside_of_the_container_are_hidden() {
        let mount = |root: &str, point: &str, kind: &str| {
            let line = format!("36 35 98:0 {root} {point} rw - {kind} none rw");
            MountInfo::from_line(&line).unwrap()
        };
        let mounts = [
            mount("/", "/proc", "proc"),
            mount("/", "/c/rootfs/proc", "proc"),
            mount("/sys", "/c/sysctl", "proc"),
            mount("/", "/mnt/sys", "sysfs"),
            mount("/", "/tmp", "tmpfs"),
        ];
        let hidden = whole(mounts.into_iter(), Path::new("/c/rootfs"));
        assert_eq!(hidden, ["/proc", "/mnt/sys"].map(PathBuf::from));
    }
}
