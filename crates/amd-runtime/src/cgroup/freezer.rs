//! The freezer of a cgroup, on v1 (kernel document freezer-subsystem) and v2
//! (cgroup-v2, `cgroup.freeze`).

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Instant;

use super::tree::tree;
use super::{Cgroup, CgroupError, PATIENCE, PAUSE, io_error};

/// The file that freezes, and what to write to it.
struct Freezer {
    file: &'static str,
    on: &'static str,
    off: &'static str,
}

/// Of v2 and of v1.
const FREEZERS: [Freezer; 2] = [
    Freezer {
        file: "cgroup.freeze",
        on: "1",
        off: "0",
    },
    Freezer {
        file: "freezer.state",
        on: "FROZEN",
        off: "THAWED",
    },
];

impl Cgroup {
    /// Whether the freezer has stopped the container, or is about to.
    pub fn is_frozen(&self) -> bool {
        // Of the hierarchies of v1 one has a freezer, and its mount point is named after it as a rule.
        let is_likely = |dir: &&PathBuf| {
            let names = dir.iter().filter_map(|name| name.to_str());
            let mut controllers = names.flat_map(|name| name.split(','));
            controllers.any(|name| name == "freezer")
        };
        let likely = self.dirs.iter().filter(is_likely);
        let mut found = likely.filter_map(|dir| state_of_v1(dir));
        let mut all = self.dirs.iter();
        found
            .next()
            .or_else(|| all.find_map(|dir| state_of_v2(dir).or_else(|| state_of_v1(dir))))
            .unwrap_or(false)
    }

    /// Stops or continues all processes and waits until it is so.
    ///
    /// # Errors
    /// [`CgroupError::NoFreezer`], or [`CgroupError::Timeout`]; a freeze that did not
    /// come about is taken back.
    pub fn freeze(&self, frozen: bool) -> Result<(), CgroupError> {
        let dir = self.write_freezer(frozen)?;
        let deadline = Instant::now() + PATIENCE;
        while !freezer_reached(&dir, frozen)? {
            if Instant::now() > deadline {
                if frozen {
                    self.write_freezer(false)?;
                }
                let what = if frozen { "frozen" } else { "thawed" };
                return Err(CgroupError::Timeout { dir, what });
            }
            sleep(PAUSE);
        }
        Ok(())
    }

    /// Thaws the cgroup and all below it that the container froze itself.
    pub(super) fn thaw_tree(&self) -> Result<(), CgroupError> {
        for dir in &self.dirs {
            // Only one hierarchy of v1 has a freezer.
            let file = match FREEZERS.iter().find(|f| dir.join(f.file).exists()) {
                Some(file) => file,
                None => continue,
            };
            for dir in tree(dir)? {
                let path = dir.join(file.file);
                match fs::read_to_string(&path) {
                    Ok(state) if state.trim() == file.off => {}
                    // Removed meanwhile is as good.
                    Ok(_) => drop(fs::write(&path, file.off)),
                    Err(_) => {}
                }
            }
        }
        Ok(())
    }

    fn write_freezer(&self, frozen: bool) -> Result<PathBuf, CgroupError> {
        for dir in &self.dirs {
            for Freezer { file, on, off } in &FREEZERS {
                let path = dir.join(file);
                if path.exists() {
                    fs::write(&path, if frozen { on } else { off })
                        .map_err(io_error("cannot write", &path))?;
                    return Ok(dir.clone());
                }
            }
        }
        Err(CgroupError::NoFreezer)
    }
}

fn freezer_reached(dir: &Path, frozen: bool) -> Result<bool, CgroupError> {
    let v2 = dir.join("cgroup.events");
    let v1 = dir.join("freezer.state");
    let (path, want) = match (dir.join("cgroup.freeze").exists(), frozen) {
        (true, true) => (v2, "frozen 1"),
        (true, false) => (v2, "frozen 0"),
        (false, true) => (v1, "FROZEN"),
        (false, false) => (v1, "THAWED"),
    };
    let text = fs::read_to_string(&path).map_err(io_error("cannot read", &path))?;
    Ok(text.lines().any(|line| line.trim() == want))
}

/// Whether the freezer of v1 in `dir` has stopped it, or is about to; `None` where there is none.
fn state_of_v1(dir: &Path) -> Option<bool> {
    let state = fs::read_to_string(dir.join("freezer.state")).ok()?;
    Some(state.trim() != "THAWED")
}

/// As [`state_of_v1`], of v2.
fn state_of_v2(dir: &Path) -> Option<bool> {
    let frozen = fs::read_to_string(dir.join("cgroup.freeze")).ok()?;
    Some(frozen.trim() == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_freezer_is_found_in_whichever_hierarchy_has_it() {
        for (hierarchies, file, frozen, thawed) in [
            (
                &["cpu", "freezer", "pids"][..],
                "freezer/freezer.state",
                "FROZEN",
                "THAWED",
            ),
            (
                &["cpu", "pids,freezer"],
                "pids,freezer/freezer.state",
                "FREEZING",
                "THAWED",
            ),
            (&["cpu", "other"], "other/freezer.state", "FROZEN", "THAWED"),
            (&["unified"], "unified/cgroup.freeze", "1", "0"),
        ] {
            let tmp = tempfile::tempdir().unwrap();
            let dirs = hierarchies.iter().map(|name| tmp.path().join(name));
            let cgroup = Cgroup::new(dirs.inspect(|dir| fs::create_dir(dir).unwrap()).collect());
            assert!(!cgroup.is_frozen(), "{hierarchies:?}");
            for (state, is_frozen) in [(frozen, true), (thawed, false)] {
                fs::write(tmp.path().join(file), format!("{state}\n")).unwrap();
                assert_eq!(cgroup.is_frozen(), is_frozen, "{file} {state}");
            }
        }
    }
}
