//! What a set-up changes on a host.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use discovery::HostRoot;

use super::mark::is_ours;
use super::{Setup, SetupError, SetupFile, SetupLink, Step};
use crate::config_file::{Change, ConfigFile};
use crate::place::place;

/// Whether a set-up is made or taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Made.
    Install,
    /// Taken back.
    Remove,
}

/// What changes on a host, before anything is changed.
#[derive(Debug)]
pub struct Plan {
    files: Vec<Change>,
    links: Vec<LinkChange>,
    steps: Vec<Step>,
}

/// A symbolic link that is made, or removed where `target` is None.
#[derive(Debug)]
struct LinkChange {
    path: PathBuf,
    target: Option<String>,
}

/// What `setup` changes on `host`. What a package brought in the same words is left to it.
///
/// # Errors
/// Where a file cannot be read, or is in the place of ours and not ours.
pub fn plan(host: &HostRoot, setup: &Setup, direction: Direction) -> Result<Plan, SetupError> {
    let mut files = Vec::new();
    let mut links = Vec::new();
    let mut packaged = Vec::new();
    for file in &setup.files {
        match plan_file(host, setup, file, direction)? {
            Some(change) => files.push(change),
            None => packaged.push(file.name),
        }
    }
    for link in &setup.links {
        links.extend(plan_link(host, setup, link, &packaged, direction)?);
    }
    files.retain(Change::changes);
    let changed = !files.is_empty() || !links.is_empty();
    let steps = match direction {
        Direction::Install => &setup.installed,
        Direction::Remove => &setup.removed,
    };
    Ok(Plan {
        files,
        links,
        steps: steps
            .iter()
            .filter(|step| step.applies(changed))
            .copied()
            .collect(),
    })
}

/// None where a package has the file.
fn plan_file(
    host: &HostRoot,
    setup: &Setup,
    file: &SetupFile,
    direction: Direction,
) -> Result<Option<Change>, SetupError> {
    let path = place_of(host, &file.path());
    if let Ok(target) = fs::read_link(&path) {
        return Err(SetupError::Symlink { path, target });
    }
    let now = ConfigFile::read(&path)?;
    let wanted = file.text(setup.command);
    let after = match (now.text(), direction) {
        (None, Direction::Remove) => None,
        (None, Direction::Install) => {
            let packaged = host.resolve(file.packaged()).and_then(fs::read_to_string);
            if packaged.is_ok_and(|text| text == file.body) {
                return Ok(None);
            }
            Some(wanted)
        }
        (Some(text), _) if !is_ours(text) => return Err(SetupError::NotOurs(path)),
        (Some(_), Direction::Install) => Some(wanted),
        (Some(_), Direction::Remove) => None,
    };
    Ok(Some(Change::new(now, after)))
}

fn plan_link(
    host: &HostRoot,
    setup: &Setup,
    link: &SetupLink,
    packaged: &[&str],
    direction: Direction,
) -> Result<Option<LinkChange>, SetupError> {
    let path = place_of(host, &link.path());
    let there = match fs::read_link(&path) {
        // Where to is the business of whoever enabled the unit.
        Ok(target) if target.file_name() == Some(OsStr::new(link.unit)) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        _ => return Err(SetupError::NoLink(path)),
    };
    let target = match (direction, there) {
        (Direction::Install, true) | (Direction::Remove, false) => return Ok(None),
        (Direction::Remove, true) => None,
        (Direction::Install, false) => {
            let unit = setup.files.iter().find(|file| file.name == link.unit);
            unit.map(|unit| match packaged.contains(&unit.name) {
                true => unit.packaged(),
                false => unit.path(),
            })
        }
    };
    Ok(Some(LinkChange { path, target }))
}

/// Where a file of the host is or can be made, itself perhaps a link.
fn place_of(host: &HostRoot, path: &str) -> PathBuf {
    let path = Path::new(path);
    let dir = path.parent().and_then(|dir| place(host, dir).ok());
    match (dir, path.file_name()) {
        (Some(dir), Some(name)) => dir.join(name),
        _ => host.join(path),
    }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        !self.changes_files() && self.steps.is_empty()
    }

    /// Whether a file or link changes.
    pub fn changes_files(&self) -> bool {
        !self.files.is_empty() || !self.links.is_empty()
    }

    /// The programs that [`tell`](Self::tell) runs.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The changes of files as a unified diff, and lines for links.
    pub fn diff(&self) -> String {
        let files = self.files.iter().map(Change::diff);
        let links = self.links.iter().map(|link| match &link.target {
            Some(target) => format!("link {} -> {target}\n", link.path.display()),
            None => format!("remove {}\n", link.path.display()),
        });
        files.chain(links).collect()
    }

    /// A line for each change of a file, as what was done.
    pub fn summary(&self) -> String {
        let files = self.files.iter().map(|change| {
            let verb = if change.removes() { "removed" } else { "wrote" };
            format!("{verb} {}\n", change.path().display())
        });
        let links = self.links.iter().map(|link| match &link.target {
            Some(target) => format!("linked {} -> {target}\n", link.path.display()),
            None => format!("removed {}\n", link.path.display()),
        });
        files.chain(links).collect()
    }

    /// Changes the files, then the links: what is enabled is there.
    ///
    /// # Errors
    /// Where the system refuses; that file and those after it are as they were.
    pub fn carry_out(&self) -> Result<(), SetupError> {
        for change in &self.files {
            change.carry_out()?;
        }
        self.links.iter().try_for_each(LinkChange::carry_out)
    }

    /// Tells the running system.
    ///
    /// # Errors
    /// Where a program fails; those after it are not run.
    pub fn tell(&self, mut ran: impl FnMut(&Step)) -> Result<(), SetupError> {
        for (index, step) in self.steps.iter().enumerate() {
            step.run().map_err(|reason| SetupError::Step {
                step: *step,
                reason,
                left: self.steps[index + 1..].to_vec(),
            })?;
            ran(step);
        }
        Ok(())
    }
}

impl LinkChange {
    fn carry_out(&self) -> Result<(), SetupError> {
        let path = &self.path;
        let failed = |action| {
            let path = path.clone();
            move |source| SetupError::Io {
                action,
                path,
                source,
            }
        };
        match &self.target {
            Some(target) => {
                if let Some(dir) = path.parent() {
                    fs::create_dir_all(dir).map_err(failed("make the directory of"))?;
                }
                symlink(target, path).map_err(failed("link"))
            }
            None => fs::remove_file(path).map_err(failed("remove")),
        }
    }
}
