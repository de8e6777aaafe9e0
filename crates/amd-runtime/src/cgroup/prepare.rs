//! Makes the cgroup of a container, before anybody is in it.
//!
//! libcontainer would, and would then set the limits with the process already inside. Made here
//! first, the limits are in force when the first process comes, and a create that is killed in
//! between has the directories on record.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Cgroup, CgroupError, io_error};

/// The files of a cpuset that must not be empty when a process comes.
const CPUSET: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];

impl Cgroup {
    /// Whether it is in a v2 hierarchy, which is the only one then.
    pub fn is_unified(&self) -> bool {
        let dir = self.dirs.first();
        dir.is_some_and(|dir| dir.join("cgroup.controllers").exists())
    }

    /// Refuses a cgroup that is frozen: a process that joins would never run.
    ///
    /// # Errors
    /// [`CgroupError::Frozen`] with runc's words.
    pub fn must_be_thawed(&self) -> Result<(), CgroupError> {
        if self.is_frozen() {
            return Err(CgroupError::Frozen);
        }
        Ok(())
    }

    /// Makes the directories that are missing, those above them too. On v2 all controllers of
    /// the host are enabled on the way; on v1 a cpuset that is empty gets what the one above has.
    ///
    /// `needs_domain` says that a limit is to be set that a threaded cgroup cannot have.
    ///
    /// # Errors
    /// Where a directory cannot be made.
    pub fn make(&self, needs_domain: bool) -> Result<(), CgroupError> {
        let root = Path::new(libcgroups::common::DEFAULT_CGROUP_ROOT);
        let unified = root.join("cgroup.controllers").exists();
        for dir in self.dirs.iter().chain(&self.visited) {
            if unified {
                make_v2(root, dir, needs_domain)?;
                continue;
            }
            make_v1(dir)?;
            inherit_cpuset(dir)?;
        }
        Ok(())
    }
}

/// Where a directory above is missing, as docker's and a pod's are for their first container, it is
/// made so that cpusets in it are born with its CPUs and memory nodes (Linux,
/// Documentation/admin-guide/cgroup-v1/cgroups.rst, "clone_children"). Of one that has to be written
/// them, the kernel looks at all others, twice, and builds the scheduling domains of the host anew.
fn make_v1(dir: &Path) -> Result<(), CgroupError> {
    if let Some(parent) = dir.parent().filter(|parent| !parent.exists()) {
        make_v1(parent)?;
        inherit_cpuset(parent)?;
        if is_cpuset(parent) {
            // Where that cannot be, `inherit_cpuset` writes them to each.
            let _ = fs::write(parent.join("cgroup.clone_children"), "1");
        }
    }
    fs::create_dir_all(dir).map_err(io_error("cannot create", dir))
}

fn make_v2(root: &Path, dir: &Path, needs_domain: bool) -> Result<(), CgroupError> {
    let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
    let below = dir.strip_prefix(root).unwrap_or(dir);
    let mut current = root.to_owned();
    for component in below.components() {
        enable(&current, &controllers);
        current.push(component);
        match fs::create_dir(&current) {
            Err(err) if err.kind() != ErrorKind::AlreadyExists => {
                return Err(io_error("cannot create", &current)(err));
            }
            _ => {}
        }
        be_threaded_where_needed(&current, needs_domain)?;
    }
    Ok(())
}

/// Enables controllers for the cgroups below `dir`. One that cannot be is missed when a limit of
/// it is set.
fn enable(dir: &Path, controllers: &str) {
    let path = dir.join("cgroup.subtree_control");
    let enabled = fs::read_to_string(&path).unwrap_or_default();
    let is_enabled = |name: &&str| enabled.split_whitespace().any(|there| there == *name);
    for name in controllers
        .split_whitespace()
        .filter(|name| !is_enabled(name))
    {
        if let Err(err) = fs::write(&path, format!("+{name}")) {
            tracing::debug!("cannot enable controller {name} in {dir:?}: {err}");
        }
    }
}

/// Below a cgroup with processes of its own only threaded cgroups can have some (Linux,
/// Documentation/admin-guide/cgroup-v2.rst, "Threads").
fn be_threaded_where_needed(dir: &Path, needs_domain: bool) -> Result<(), CgroupError> {
    let path = dir.join("cgroup.type");
    let kind = fs::read_to_string(&path).unwrap_or_default();
    match kind.trim() {
        "domain invalid" if !needs_domain => {
            // As with runc: what does not come of it shows when the container joins.
            let _ = fs::write(&path, "threaded");
            Ok(())
        }
        kind @ ("domain invalid" | "domain threaded" | "threaded") if needs_domain => {
            Err(CgroupError::Threaded {
                dir: dir.to_owned(),
                kind: kind.to_owned(),
            })
        }
        _ => Ok(()),
    }
}

fn is_cpuset(dir: &Path) -> bool {
    dir.join(CPUSET[0]).exists()
}

/// Gives a cpuset, and those above it, the CPUs and memory nodes of its parent where it has none.
fn inherit_cpuset(dir: &Path) -> Result<(), CgroupError> {
    let is_full =
        |file| fs::read_to_string(dir.join(file)).is_ok_and(|text| !text.trim().is_empty());
    if CPUSET.into_iter().all(is_full) {
        return Ok(());
    }
    let mut way: Vec<PathBuf> = dir
        .ancestors()
        .take_while(|dir| is_cpuset(dir))
        .map(Path::to_owned)
        .collect();
    way.reverse();
    for pair in way.windows(2) {
        let [parent, child] = pair else { continue };
        for file in CPUSET {
            let path = child.join(file);
            let read =
                |path: &Path| fs::read_to_string(path).map_err(io_error("cannot read", path));
            if read(&path)?.trim().is_empty() {
                fs::write(&path, read(&parent.join(file))?)
                    .map_err(io_error("cannot write", &path))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_the_place_of_a_directory_is_an_error_that_names_it() {
        let tmp = tempfile::tempdir().unwrap();
        let file = tmp.path().join("tasks");
        fs::write(&file, "").unwrap();
        let error = make_v1(&file).unwrap_err().to_string();
        assert!(error.contains(file.to_str().unwrap()), "{error}");
        assert!(make_v1(&file.join("below")).is_err());
        make_v1(&tmp.path().join("a/b/c")).unwrap();
        make_v1(&tmp.path().join("a/b/c")).unwrap();
    }

    #[test]
    fn an_empty_cpuset_is_filled_from_above_and_another_is_left() {
        let tmp = tempfile::tempdir().unwrap();
        let child = tmp.path().join("parent/child");
        fs::create_dir_all(&child).unwrap();
        for (dir, cpus) in [
            (tmp.path(), "0-3\n"),
            (child.parent().unwrap(), ""),
            (&child, "2\n"),
        ] {
            fs::write(dir.join("cpuset.cpus"), cpus).unwrap();
            fs::write(dir.join("cpuset.mems"), "\n").unwrap();
        }
        fs::write(tmp.path().join("cpuset.mems"), "0\n").unwrap();
        inherit_cpuset(&child).unwrap();
        let read = |dir: &Path, file| fs::read_to_string(dir.join(file)).unwrap();
        assert_eq!(read(child.parent().unwrap(), "cpuset.cpus"), "0-3\n");
        assert_eq!(read(&child, "cpuset.cpus"), "2\n");
        assert_eq!(read(&child, "cpuset.mems"), "0\n");
    }
}
