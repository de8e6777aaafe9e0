//! The directory of all containers: which ids there are, and who gets one.

use std::fs::{self, Metadata, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;

use super::container::{ContainerDir, LOCK};
use super::{Lock, LockError, LockKind, Phase, ProcessRef, Record, StateError};
use crate::id::ContainerId;
use crate::process::in_user_namespace;

/// The user that others are in a user namespace that does not map them
/// (/proc/sys/kernel/overflowuid).
const OVERFLOW_UID: u32 = 65534;

/// The directory that holds the state of all containers of one `--root`.
#[derive(Clone, Debug)]
pub struct StateRoot(PathBuf);

impl StateRoot {
    /// The state root at `path`; nothing is made yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Makes the directory, for its owner alone, where there is none. One that everybody can write to is
    /// closed to others.
    ///
    /// # Errors
    /// Where it cannot be made or closed, and where it is another user's: what a record says is done with
    /// the rights of whoever reads it.
    pub fn make(&self) -> Result<(), StateError> {
        private_dir(&self.0, true)?;
        let found = fs::metadata(&self.0).map_err(StateError::io("cannot look at", &self.0))?;
        check_owner(&self.0, &found)?;
        if found.mode() & 0o002 != 0 {
            tracing::warn!("closing the state root {:?} to other users", self.0);
            fs::set_permissions(&self.0, Permissions::from_mode(0o700))
                .map_err(StateError::io("cannot close to other users", &self.0))?;
        }
        Ok(())
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

/// Checks that `dir`, a state root or the directory of a container, is the caller's or root's.
///
/// # Errors
/// [`StateError::Stranger`] where it is not.
pub(super) fn check_owner(dir: &Path, found: &Metadata) -> Result<(), StateError> {
    let (owner, user) = (found.uid(), Uid::effective().as_raw());
    // In a user namespace that is anybody whom it does not map, as root of the host.
    let is_unknown = || owner == OVERFLOW_UID && in_user_namespace();
    if owner == user || owner == 0 || is_unknown() {
        return Ok(());
    }
    Err(StateError::Stranger {
        path: dir.to_owned(),
        owner,
    })
}

fn private_dir(path: &Path, with_parents: bool) -> Result<(), StateError> {
    fs::DirBuilder::new()
        .mode(0o700)
        .recursive(with_parents)
        .create(path)
        .map_err(StateError::io("cannot create", path))
}
