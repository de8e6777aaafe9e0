//! The directory of all containers: which ids there are, and who gets one.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::container::{ContainerDir, LOCK};
use super::{Lock, LockError, LockKind, Phase, ProcessRef, Record, StateError};
use crate::id::ContainerId;

/// The directory that holds the state of all containers of one `--root`.
#[derive(Clone, Debug)]
pub struct StateRoot(PathBuf);

impl StateRoot {
    /// The state root at `path`; nothing is made yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The state directory that container `id` has or would have.
    pub fn container(&self, id: &ContainerId) -> ContainerDir {
        ContainerDir {
            id: id.clone(),
            path: self.0.join(id.as_str()),
        }
    }

    /// Ids of all directories below the root that can be containers, sorted.
    ///
    /// # Errors
    /// Where the root cannot be read, a root that does not exist included.
    pub fn ids(&self) -> Result<Vec<ContainerId>, StateError> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.0).map_err(StateError::io("cannot read", &self.0))? {
            let entry = entry.map_err(StateError::io("cannot read", &self.0))?;
            let is_dir = entry.file_type().is_ok_and(|t| t.is_dir());
            if let (true, Some(name)) = (is_dir, entry.file_name().to_str())
                && let Ok(id) = ContainerId::new(name)
            {
                ids.push(id);
            }
        }
        ids.sort();
        Ok(ids)
    }

    /// Takes the id of a new container: makes its directory and locks it.
    ///
    /// A directory that an earlier create left behind without finishing is taken over:
    /// the caller finds its record by [`ContainerDir::leftover`] and cleans up.
    ///
    /// # Errors
    /// [`StateError::Exists`] where the id belongs to a container, or to a create that
    /// is still at work.
    pub fn claim(&self, id: &ContainerId) -> Result<(ContainerDir, Lock), StateError> {
        private_dir(&self.0, true)?;
        let dir = self.container(id);
        loop {
            let is_new = match private_dir(&dir.path, false) {
                Ok(()) => true,
                Err(StateError::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                    if dir.exists() && !dir.is_directory() {
                        return Err(StateError::Exists { id: id.to_string() });
                    }
                    false
                }
                Err(other) => return Err(other),
            };
            let lock = match Lock::make(&dir.path.join(LOCK), LockKind::Exclusive, Duration::ZERO) {
                Ok(lock) => lock,
                // Removed between mkdir and open, or while we waited: it is free again.
                Err(LockError::Gone) => continue,
                Err(LockError::Held { .. } | LockError::NotAFile) => {
                    return Err(StateError::Exists { id: id.to_string() });
                }
                Err(LockError::Io(source)) => {
                    // Empty, unless the file was made: then the next create takes it over.
                    if is_new {
                        let _ = dir.remove_unless_claimed();
                    }
                    return Err(StateError::io("cannot lock", &dir.path)(source));
                }
            };
            if let Err(error) = sign(&lock, &dir.path.join(LOCK)) {
                // A full disk. What was there before belongs to whoever clears it.
                if is_new {
                    let _ = dir.remove();
                }
                return Err(error);
            }
            return match dir.record() {
                Ok(Record {
                    phase: Phase::Creating,
                    ..
                })
                | Err(StateError::NotExist { .. }) => Ok((dir, lock)),
                Ok(_) | Err(StateError::Torn { .. }) => {
                    Err(StateError::Exists { id: id.to_string() })
                }
                Err(other) => Err(other),
            };
        }
    }
}

/// Says in the lock at `path` that this process holds it.
fn sign(lock: &Lock, path: &Path) -> Result<(), StateError> {
    match ProcessRef::own() {
        Some(own) => lock.sign(own).map_err(StateError::io("cannot write", path)),
        None => Ok(()),
    }
}

fn private_dir(path: &Path, with_parents: bool) -> Result<(), StateError> {
    fs::DirBuilder::new()
        .mode(0o700)
        .recursive(with_parents)
        .create(path)
        .map_err(StateError::io("cannot create", path))
}
