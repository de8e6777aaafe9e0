//! cgroup directories in every hierarchy that is mounted at or below /sys/fs/cgroup.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The mount points of all cgroup hierarchies.
///
/// # Errors
/// Where /proc/1/mounts cannot be read.
pub fn hierarchies() -> Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/1/mounts").context("cannot read /proc/1/mounts")?;
    Ok(mounted(&table))
}

/// Of a mount table, as proc(5) describes it, the mount points of cgroup hierarchies.
fn mounted(table: &str) -> Vec<PathBuf> {
    let mut points: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            let (point, kind) = (fields.next()?, fields.next()?);
            let ours = matches!(kind, "cgroup" | "cgroup2") && point.starts_with("/sys/fs/cgroup");
            ours.then(|| PathBuf::from(point))
        })
        .collect();
    points.sort();
    points.dedup();
    points
}

/// The cgroups below `cgroup`, itself not included, in every hierarchy, deepest first.
///
/// # Errors
/// Where a directory cannot be read.
pub fn below(cgroup: &str) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for hierarchy in hierarchies()? {
        collect(&hierarchy.join(cgroup.trim_start_matches('/')), &mut all)?;
    }
    Ok(all)
}

/// Thaws `cgroup` and all below it: on v1 a frozen process does not die of SIGKILL.
///
/// # Errors
/// Where a directory cannot be read.
pub fn thaw(cgroup: &str) -> Result<()> {
    let root = Path::new("/sys/fs/cgroup/freezer").join(cgroup.trim_start_matches('/'));
    for dir in below(cgroup)?.into_iter().chain([root]) {
        let state = dir.join("freezer.state");
        if state.exists() {
            // Gone meanwhile is as good.
            let _ = fs::write(state, "THAWED");
        }
    }
    Ok(())
}

/// Removes `cgroup` and all below it from every hierarchy.
///
/// # Errors
/// Where a process is still in one of them.
pub fn remove(cgroup: &str) -> Result<()> {
    let mut all = below(cgroup)?;
    all.extend(
        hierarchies()?
            .iter()
            .map(|h| h.join(cgroup.trim_start_matches('/'))),
    );
    for dir in all {
        match fs::remove_dir(&dir) {
            Err(err) if err.kind() != ErrorKind::NotFound => {
                return Err(err).with_context(|| format!("cannot remove {}", dir.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

fn collect(dir: &Path, all: &mut Vec<PathBuf>) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(err) if err.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("cannot read {}", dir.display()))?,
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), all)?;
            all.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_the_cgroup_mounts_below_sys_fs_cgroup() {
        let table = "\
tmpfs /sys/fs/cgroup tmpfs rw 0 0
cgroup /sys/fs/cgroup/devices cgroup rw,devices 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0
cgroup /run/other/devices cgroup rw,devices 0 0
";
        let expected = ["/sys/fs/cgroup/devices", "/sys/fs/cgroup/unified"].map(PathBuf::from);
        assert_eq!(mounted(table), expected);
    }
}
