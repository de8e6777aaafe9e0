//! The freezer of a cgroup, on v1 (kernel document freezer-subsystem) and v2
//! (cgroup-v2, `cgroup.freeze`).

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Instant;

use super::{Cgroup, CgroupError, PATIENCE, PAUSE, io_error};

impl Cgroup {
    /// Whether the freezer has stopped the container, or is about to.
    pub fn is_frozen(&self) -> bool {
        self.dirs.iter().any(|dir| {
            // v2: kernel document cgroup-v2, cgroup.freeze; v1: freezer-subsystem.
            let read = |file: &str| fs::read_to_string(dir.join(file));
            if let Ok(frozen) = read("cgroup.freeze") {
                return frozen.trim() == "1";
            }
            read("freezer.state").is_ok_and(|state| state.trim() != "THAWED")
        })
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

    pub(super) fn write_freezer(&self, frozen: bool) -> Result<PathBuf, CgroupError> {
        for dir in &self.dirs {
            for (file, on, off) in [
                ("cgroup.freeze", "1", "0"),
                ("freezer.state", "FROZEN", "THAWED"),
            ] {
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
