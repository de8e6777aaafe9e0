//! The hierarchies that libcontainer leaves out.
//!
//! runc puts a container in every hierarchy of the host: also in `name=systemd`, `rdma` and `misc`
//! of v1, and beside v1 in the unified one. libcgroups knows none of these (its `CONTROLLERS`). A
//! process that is to be in them before it gets its cgroup namespace, whose root is where it then
//! is, can only be born there: so the runtime goes there itself, for as long as libcontainer forks.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use procfs::process::Process;

use super::{CgroupError, io_error};

/// Where the processes of a cgroup are listed, and others are put (cgroups(7)).
pub(super) const PROCS: &str = "cgroup.procs";

/// A stay of this process in cgroups of a container, ended by dropping it.
#[derive(Debug, Default)]
pub struct Visit {
    /// Where it came from, one a hierarchy.
    home: Vec<PathBuf>,
}

impl Visit {
    /// Puts this process in `dirs`, which exist.
    ///
    /// # Errors
    /// Where it cannot be moved, or it cannot be told where it is; it is then back where it was.
    pub fn enter(dirs: &[PathBuf]) -> Result<Self, CgroupError> {
        let mut visit = Self::default();
        if dirs.is_empty() {
            return Ok(visit);
        }
        let own = own_dirs()?;
        for dir in dirs {
            let home = own.iter().find(|(mount, _)| dir.starts_with(mount));
            let Some((_, home)) = home else { continue };
            join(dir, 0).map_err(io_error("cannot join", dir))?;
            visit.home.push(home.clone());
        }
        Ok(visit)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        for dir in &self.home {
            if let Err(err) = join(dir, 0) {
                tracing::warn!("cannot go back to cgroup {dir:?}: {err}");
            }
        }
    }
}

/// Puts a process in `dir`; 0 is this one.
pub fn join(dir: &Path, pid: i32) -> io::Result<()> {
    let mut procs = File::options().write(true).open(dir.join(PROCS))?;
    procs.write_all(pid.to_string().as_bytes())
}

/// Where this process is: of each hierarchy its mount point and the directory.
fn own_dirs() -> Result<Vec<(PathBuf, PathBuf)>, CgroupError> {
    let myself = Process::myself().map_err(CgroupError::Mounts)?;
    let cgroups = myself.cgroups().map_err(CgroupError::Mounts)?;
    let mounts = myself.mountinfo().map_err(CgroupError::Mounts)?;
    let mut own = Vec::new();
    for mount in mounts.0 {
        let of_mount = |cgroup: &&procfs::ProcessCGroup| match mount.fs_type.as_str() {
            "cgroup2" => cgroup.hierarchy == 0,
            "cgroup" => cgroup.controllers.iter().any(|name| has(&mount, name)),
            _ => false,
        };
        if let Some(cgroup) = cgroups.0.iter().find(of_mount)
            && let Ok(below) = Path::new(&cgroup.pathname).strip_prefix(&mount.root)
        {
            own.push((mount.mount_point.clone(), mount.mount_point.join(below)));
        }
    }
    Ok(own)
}

fn has(mount: &procfs::process::MountInfo, controller: &str) -> bool {
    match controller.split_once('=') {
        Some((key, name)) => {
            let value = mount.super_options.get(key);
            value.is_some_and(|value| value.as_deref() == Some(name))
        }
        None => mount.super_options.contains_key(controller),
    }
}
