//! The state directory of one container.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::at_work::AtWork;
use super::root::check_owner;
use super::{
    GrantedGpu, LOCK_PATIENCE, Lock, LockError, LockKind, ProcessRef, Record, StateError,
    read_regular, write_atomically,
};
use crate::id::ContainerId;

pub(super) const RECORD: &str = "container.json";
pub(super) const LOCK: &str = "lock";
const AT_WORK: &str = "at-work";

/// The state directory of one container.
#[derive(Clone, Debug)]
pub struct ContainerDir {
    pub(super) id: ContainerId,
    pub(super) path: PathBuf,
}

impl ContainerDir {
    /// The container's id.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The directory itself; the effective bundle's config.json is in it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root below which libcontainer keeps its own state of this container.
    pub fn libcontainer_root(&self) -> PathBuf {
        self.path.join("libcontainer")
    }

    /// The directory in which libcontainer keeps its own state of this container.
    pub fn libcontainer_dir(&self) -> PathBuf {
        self.libcontainer_root().join(self.id.as_str())
    }

    /// The bundle's config.json as libcontainer reads it.
    pub fn config_path(&self) -> PathBuf {
        self.path.join("config.json")
    }

    /// The effective spec of the container, whole; config.json is what libcontainer is
    /// told of it.
    pub fn spec_path(&self) -> PathBuf {
        self.path.join("spec.json")
    }

    /// The compiled seccomp filter, where the container has one.
    pub fn filter_path(&self) -> PathBuf {
        self.path.join("seccomp.filter")
    }

    /// Where an init is told to start that has its filter already.
    pub fn start_socket(&self) -> PathBuf {
        self.path.join("start.sock")
    }

    /// Where the init of a container is on record that is in no cgroup while it is built.
    pub fn init_path(&self) -> PathBuf {
        self.path.join("init.json")
    }

    /// Where an empty directory can be made that stands in for the root filesystem.
    pub fn stand_in(&self) -> PathBuf {
        self.path.join("root")
    }

    /// The processes by which a container that is being built, or was until its create was
    /// killed, can be found without a cgroup: its init, and those named `name...` that are
    /// still at work.
    pub fn builders(&self, name: &str) -> Vec<ProcessRef> {
        let init = read_regular(&self.init_path()).ok();
        let init = init.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut all = AtWork::holders(&self.path.join(AT_WORK), name);
        all.extend::<Option<ProcessRef>>(init);
        all
    }

    /// Whether anything of that id is there, a torn or unfinished container included.
    pub fn exists(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    /// Whether it is a directory, and no link to one.
    pub(super) fn is_directory(&self) -> bool {
        self.path.symlink_metadata().is_ok_and(|file| file.is_dir())
    }

    /// Waits for the container's lock, up to `patience`.
    ///
    /// # Errors
    /// [`StateError::NotExist`] where the container is or becomes gone,
    /// [`StateError::Busy`] where another command holds on to it.
    pub fn lock(&self, kind: LockKind, patience: Duration) -> Result<Lock, StateError> {
        match self.path.symlink_metadata() {
            Ok(file) if file.is_dir() => self.check_owners(&file)?,
            // A link to a directory, too: what is there is not ours to change.
            Ok(_) => return Err(self.torn(LOCK, not_a_file())),
            Err(_) => return Err(self.not_locked(LockError::Gone)),
        }
        let path = self.path.join(LOCK);
        let lock = match Lock::take(&path, kind, patience) {
            // Not where there is no container: another command is removing the directory, or an
            // earlier one was killed at it.
            Err(LockError::Gone) if self.path.join(RECORD).symlink_metadata().is_ok() => {
                Lock::make(&path, kind, patience)
            }
            lock => lock,
        };
        lock.map_err(|err| self.not_locked(err))
    }

    /// Checks that neither the directory nor the one that it is in is another user's.
    fn check_owners(&self, found: &Metadata) -> Result<(), StateError> {
        check_owner(&self.path, found)?;
        let root = self.path.parent().unwrap_or(&self.path);
        let of_root = root
            .metadata()
            .map_err(StateError::io("cannot look at", root))?;
        check_owner(root, &of_root)
    }

    fn not_locked(&self, err: LockError) -> StateError {
        match err {
            LockError::Gone => StateError::NotExist {
                id: self.id.to_string(),
            },
            LockError::Held { holder } => StateError::Busy {
                id: self.id.to_string(),
                holder,
            },
            LockError::NotAFile => self.torn(LOCK, not_a_file()),
            LockError::Io(source) => StateError::io("cannot lock", &self.path)(source),
        }
    }

    /// Takes the lock for a command that removes the container whatever its state is: what is in
    /// the lock's place is cleared away, and a command that signed the lock and holds it longer than
    /// `patience` is killed.
    ///
    /// # Errors
    /// As [`ContainerDir::lock`].
    pub fn lock_by_force(&self, patience: Duration) -> Result<Lock, StateError> {
        let lock = self.path.join(LOCK);
        match self.lock(LockKind::Exclusive, patience) {
            Err(StateError::Torn { .. }) if !self.is_directory() => {
                self.remove()?;
            }
            Err(StateError::Torn { .. }) => {
                remove_anything(&lock).map_err(StateError::io("cannot remove", &lock))?;
            }
            Err(StateError::Busy { holder, .. }) => {
                // Not this process, which can have more than one thread.
                let is_other = holder != std::process::id() as i32;
                let signed =
                    Lock::signed_by(&lock).filter(|signed| is_other && signed.pid == holder);
                if let Some(holder) = signed {
                    tracing::warn!(id = %self.id, pid = holder.pid, "killing a command that hangs");
                    // It may have ended by itself just now.
                    let _ = holder.signal(libc::SIGKILL);
                }
            }
            // A directory that an earlier command was killed at has no lock any more.
            Err(StateError::NotExist { .. }) => {}
            taken => return taken,
        }
        Lock::make(&lock, LockKind::Exclusive, LOCK_PATIENCE).map_err(|err| self.not_locked(err))
    }

    fn torn(&self, file: &str, source: serde_json::Error) -> StateError {
        StateError::Torn {
            id: self.id.to_string(),
            path: self.path.join(file),
            source,
        }
    }

    /// The record of the container.
    ///
    /// # Errors
    /// [`StateError::NotExist`] where there is none, [`StateError::Torn`] where it cannot
    /// be understood.
    pub fn record(&self) -> Result<Record, StateError> {
        let path = self.path.join(RECORD);
        let bytes = match read_regular(&path) {
            Ok(bytes) => bytes,
            Err(err) if matches!(err.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(StateError::NotExist {
                    id: self.id.to_string(),
                });
            }
            Err(err) if is_no_file(&err) => return Err(self.torn(RECORD, not_a_file())),
            Err(err) => return Err(StateError::io("cannot read", &path)(err)),
        };
        serde_json::from_slice(&bytes).map_err(|source| self.torn(RECORD, source))
    }

    /// The GPUs of its record.
    ///
    /// # Errors
    /// [`StateError::Torn`] where they cannot be understood.
    pub fn gpus(&self, record: &Record) -> Result<Vec<GrantedGpu>, StateError> {
        let torn = |source| self.torn(RECORD, source);
        record.gpus.parse().map_err(torn)
    }

    /// The CDI names of the GPUs of its record.
    ///
    /// # Errors
    /// As [`ContainerDir::gpus`].
    pub fn gpu_names(&self, record: &Record) -> Result<Vec<String>, StateError> {
        let torn = |source| self.torn(RECORD, source);
        record.gpus.names().map_err(torn)
    }

    /// Replaces the record, whole or not at all.
    ///
    /// # Errors
    /// Where it cannot be written; the old record then stands.
    pub fn save(&self, record: &Record) -> Result<(), StateError> {
        let path = self.path.join(RECORD);
        let json = serde_json::to_vec(record)
            .map_err(|err| StateError::io("cannot write", &path)(err.into()))?;
        write_atomically(&path, &json).map_err(StateError::io("cannot write", &path))
    }

    /// Says that a create is at work here, for as long as what is returned, or a copy of it in a
    /// forked process, is open.
    ///
    /// # Errors
    /// Where the file cannot be made, or somebody is at work already.
    pub fn set_to_work(&self) -> Result<AtWork, StateError> {
        let path = self.path.join(AT_WORK);
        AtWork::begin(&path).map_err(StateError::io("cannot hold", &path))
    }

    /// Whether a create is at work here, or a process that it forked before it was killed.
    pub fn is_at_work(&self) -> bool {
        AtWork::is_held(&self.path.join(AT_WORK))
    }

    /// What an earlier create of this id wrote before it was killed.
    pub fn leftover(&self) -> Option<Record> {
        self.record().ok()
    }

    /// Empties the directory but for the lock: for a create that takes over a leftover.
    ///
    /// # Errors
    /// Where an entry cannot be removed.
    pub fn clear(&self) -> Result<(), StateError> {
        for entry in fs::read_dir(&self.path).map_err(StateError::io("cannot read", &self.path))? {
            let entry = entry.map_err(StateError::io("cannot read", &self.path))?;
            if entry.file_name() == LOCK {
                continue;
            }
            let path = entry.path();
            remove_anything(&path).map_err(StateError::io("cannot remove", &path))?;
        }
        Ok(())
    }

    /// Removes the directory, whose lock the caller holds; the id is free afterwards. Gone already
    /// is fine.
    ///
    /// # Errors
    /// Where an entry cannot be removed.
    pub fn remove(&self) -> Result<(), StateError> {
        // The lock goes last: from then on a create can have the directory.
        if self.is_directory() {
            self.clear()?;
            let lock = self.path.join(LOCK);
            unless_gone(remove_anything(&lock)).map_err(StateError::io("cannot remove", &lock))?;
        }
        self.remove_unless_claimed()
    }

    /// Removes the directory unless somebody has locked it anew: then it is his.
    pub(super) fn remove_unless_claimed(&self) -> Result<(), StateError> {
        let removed = match fs::remove_dir(&self.path) {
            Err(err) if err.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            Err(err) if err.kind() == ErrorKind::NotADirectory => fs::remove_file(&self.path),
            removed => removed,
        };
        unless_gone(removed).map_err(StateError::io("cannot remove", &self.path))
    }
}

fn unless_gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(err) if err.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Removes a directory with all in it, or whatever else is there.
fn remove_anything(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    }
}

/// Whether a file could not be read because it is none (a symbolic link is none of ours).
fn is_no_file(err: &io::Error) -> bool {
    err.kind() == ErrorKind::InvalidData || err.raw_os_error() == Some(libc::ELOOP)
}

fn not_a_file() -> serde_json::Error {
    serde::de::Error::custom("it is not a regular file")
}
