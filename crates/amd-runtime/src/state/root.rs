//! The directory of all containers: which ids there are, and who gets one.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;

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

    /// Makes the directory, for its owner alone, where there is none.
    ///
    /// # Errors
    /// Where it cannot be made, and where another user could put containers into it: what a record
    /// says is done with the rights of whoever reads it.
    pub fn make(&self) -> Result<(), StateError> {
        private_dir(&self.0, true)?;
        let found = fs::metadata(&self.0).map_err(StateError::io("cannot look at", &self.0))?;
        match why_unsafe(found.uid(), found.mode(), Uid::effective().as_raw()) {
            None => Ok(()),
            Some(why) => Err(StateError::Unsafe {
                path: self.0.clone(),
                why,
            }),
        }
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
        self.make()?;
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

/// Why a state root of this owner and mode is not safe for `user`. Whoever shares a group with its
/// owner may write to it: that is the group of root, or by many a distribution's umask the user's own.
fn why_unsafe(owner: u32, mode: u32, user: u32) -> Option<String> {
    if owner != user && owner != 0 {
        return Some(format!("belongs to user {owner}"));
    }
    let is_writable = mode & 0o002 != 0;
    is_writable.then(|| {
        format!(
            "can be written to by everybody (mode {:04o})",
            mode & 0o7777
        )
    })
}

fn private_dir(path: &Path, with_parents: bool) -> Result<(), StateError> {
    fs::DirBuilder::new()
        .mode(0o700)
        .recursive(with_parents)
        .create(path)
        .map_err(StateError::io("cannot create", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_others_can_put_containers_into_is_not_safe() {
        for (owner, mode, user, is_safe) in [
            (0, 0o40700, 0, true),
            (0, 0o40755, 0, true),
            (0, 0o40775, 0, true),
            (1000, 0o40775, 1000, true),
            (0, 0o40755, 1000, true),
            (0, 0o40777, 0, false),
            (0, 0o41777, 0, false),
            (1000, 0o40700, 0, false),
            (1000, 0o40755, 1001, false),
        ] {
            let why = why_unsafe(owner, mode, user);
            assert_eq!(why.is_none(), is_safe, "{owner} {mode:o} {user}: {why:?}");
        }
    }
}
