//! The files of a cgroup, by name: in whichever of its directories they are.

use std::fs;
use std::path::PathBuf;

/// What reads files of a cgroup. Names of files begin with that of their controller, so that no
/// name is in two hierarchies of v1.
pub(super) trait Files {
    /// The text of a file without white space at its ends; `None` where it cannot be read.
    fn read(&self, file: &str) -> Option<String>;

    /// Whether the cgroup has that file.
    fn has(&self, file: &str) -> bool {
        self.read(file).is_some()
    }

    /// The number in a file; `max` is the largest one, as runc has it.
    fn number(&self, file: &str) -> Option<u64> {
        match self.read(file)?.as_str() {
            "max" => Some(u64::MAX),
            text => text.parse().ok(),
        }
    }

    /// The `name number` lines of a file, in order.
    fn table(&self, file: &str) -> Vec<(String, u64)> {
        let text = self.read(file).unwrap_or_default();
        let entry = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            Some((name.to_owned(), value.trim().parse().ok()?))
        };
        text.lines().filter_map(entry).collect()
    }
}

/// The directories of a cgroup, one a hierarchy.
pub(super) struct Dirs<'c>(&'c [PathBuf]);

impl<'c> Dirs<'c> {
    pub fn new(dirs: &'c [PathBuf]) -> Self {
        Self(dirs)
    }

    /// Where a file is.
    pub fn path(&self, file: &str) -> Option<PathBuf> {
        let paths = self.0.iter().map(|dir| dir.join(file));
        paths.into_iter().find(|path| path.exists())
    }

    /// Whether the cgroup is in a hierarchy of this controller.
    pub fn has_controller(&self, controller: &str) -> bool {
        // On v2 files such as `memory.pressure` are there without the controller.
        if let Some(controllers) = self.read("cgroup.controllers") {
            return controllers.split(' ').any(|name| name == controller);
        }
        let prefix = format!("{controller}.");
        let named = |dir: &PathBuf| {
            let mut entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries.any(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        };
        self.0.iter().any(named)
    }
}

impl Files for Dirs<'_> {
    fn read(&self, file: &str) -> Option<String> {
        let text = fs::read_to_string(self.path(file)?).ok()?;
        Some(text.trim().to_owned())
    }

    fn has(&self, file: &str) -> bool {
        self.path(file).is_some()
    }
}

/// A cgroup in memory, for tests.
#[cfg(test)]
impl Files for std::collections::BTreeMap<&str, &str> {
    fn read(&self, file: &str) -> Option<String> {
        self.get(file).map(|text| (*text).to_owned())
    }
}
