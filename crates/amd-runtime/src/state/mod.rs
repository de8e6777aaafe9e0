//! What the runtime remembers of its containers.
//!
//! ```text
//! <root>/<id>/               mode 0700, on a tmpfs
//!   lock                     a record lock: who may change this container now; in it, who may
//!                            be killed for holding it too long
//!   container.json           [`Record`]: ours, written whole or not at all
//!   config.json              the effective bundle: what libcontainer reads
//!   gpus.json                its GPUs, for everybody on the host: see the crate gpu-tracker
//!   libcontainer/<id>/       libcontainer's own state; only libcontainer reads it
//! ```
//!
//! The status of a container is never stored: [`crate::Status::of`] reads it
//! from the process and the freezer.

mod lock;
mod record;

use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use gpu_tracker::GrantedGpu;
pub use host_state::{
    Liveness, ProcessRef, pidfd_open, read_regular, write_atomically, write_pid_file,
};
pub use lock::{Lock, LockError, LockKind};
pub use record::{Phase, Record};

use crate::id::ContainerId;

/// How long a command waits for another one that holds the same container.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(30);

const RECORD: &str = "container.json";
const LOCK: &str = "lock";

/// Why a container's state could not be read, locked or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// No container of that id below this root.
    #[error("container {id:?}: container does not exist")]
    NotExist {
        /// The id that was asked for.
        id: String,
    },
    /// The id is in use.
    #[error("container {id:?}: container with given ID already exists")]
    Exists {
        /// The id that was asked for.
        id: String,
    },
    /// Another command holds the container.
    #[error("container {id:?} is in use by process {holder}")]
    Busy {
        /// The id that was asked for.
        id: String,
        /// Pid of the command that holds it.
        holder: i32,
    },
    /// The record is there and cannot be understood.
    #[error("container {id:?}: cannot read {path:?}")]
    Torn {
        /// The id that was asked for.
        id: String,
        /// The record's path.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A system call failed.
    #[error("{what} {path:?}")]
    Io {
        /// What was being done, as in "cannot create".
        what: &'static str,
        /// To which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl StateError {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exists { id } => Some(format!(
                "choose another id, or remove that container: amd-container-runtime delete {id}"
            )),
            Self::Torn { id, .. } => Some(format!(
                "remove what is left of it: amd-container-runtime delete --force {id}"
            )),
            Self::NotExist { .. } => {
                Some("see `amd-container-runtime list`, and --root if another was used".into())
            }
            Self::Busy { .. } | Self::Io { .. } => None,
        }
    }

    fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

/// The directory that holds the state of all containers of one `--root`.
#[derive(Clone, Debug)]
pub struct StateRoot(PathBuf);

/// The state directory of one container.
#[derive(Clone, Debug)]
pub struct ContainerDir {
    id: ContainerId,
    path: PathBuf,
}

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
            match private_dir(&dir.path, false) {
                Ok(()) => {}
                Err(StateError::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                }
                Err(other) => return Err(other),
            }
            let lock = match Lock::take(&dir.path.join(LOCK), LockKind::Exclusive, Duration::ZERO) {
                Ok(lock) => lock,
                // Removed between mkdir and open, or while we waited: it is free again.
                Err(LockError::Gone) => continue,
                Err(LockError::Held { .. } | LockError::NotAFile) => {
                    return Err(StateError::Exists { id: id.to_string() });
                }
                Err(LockError::Io(source)) => {
                    return Err(StateError::io("cannot lock", &dir.path)(source));
                }
            };
            if let Some(own) = ProcessRef::own() {
                lock.sign(own)
                    .map_err(StateError::io("cannot write", &dir.path.join(LOCK)))?;
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

    /// The socket of the container's init for what goes to its seccomp agent.
    pub fn agent_socket(&self) -> PathBuf {
        self.path.join("seccomp.sock")
    }

    /// Whether anything of that id is there, a torn or unfinished container included.
    pub fn exists(&self) -> bool {
        self.path.symlink_metadata().is_ok()
    }

    /// Waits for the container's lock, up to `patience`.
    ///
    /// # Errors
    /// [`StateError::NotExist`] where the container is or becomes gone,
    /// [`StateError::Busy`] where another command holds on to it.
    pub fn lock(&self, kind: LockKind, patience: Duration) -> Result<Lock, StateError> {
        if !self.exists() {
            return Err(StateError::NotExist {
                id: self.id.to_string(),
            });
        }
        Lock::take(&self.path.join(LOCK), kind, patience).map_err(|err| match err {
            LockError::Gone => StateError::NotExist {
                id: self.id.to_string(),
            },
            LockError::Held { holder } => StateError::Busy {
                id: self.id.to_string(),
                holder,
            },
            LockError::NotAFile => self.torn(LOCK, not_a_file()),
            LockError::Io(source) => StateError::io("cannot lock", &self.path)(source),
        })
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
            Err(StateError::Torn { .. }) if !self.path.is_dir() => {
                self.remove()?;
            }
            Err(StateError::Torn { .. }) => {
                remove_anything(&lock).map_err(StateError::io("cannot remove", &lock))?;
            }
            Err(StateError::Busy { holder, .. }) => {
                let signed = Lock::signed_by(&lock).filter(|signed| signed.pid == holder);
                if let Some(holder) = signed {
                    tracing::warn!(id = %self.id, pid = holder.pid, "killing a command that hangs");
                    // It may have ended by itself just now.
                    let _ = holder.signal(libc::SIGKILL);
                }
            }
            taken => return taken,
        }
        self.lock(LockKind::Exclusive, LOCK_PATIENCE)
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

    /// Removes the directory; the id is free afterwards. Gone already is fine.
    ///
    /// # Errors
    /// Where an entry cannot be removed.
    pub fn remove(&self) -> Result<(), StateError> {
        match remove_anything(&self.path) {
            Err(err) if err.kind() != ErrorKind::NotFound => {
                Err(StateError::io("cannot remove", &self.path)(err))
            }
            _ => Ok(()),
        }
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

    fn id(name: &str) -> ContainerId {
        ContainerId::new(name).unwrap()
    }

    #[test]
    fn an_id_can_be_claimed_once() {
        let tmp = tempfile::tempdir().unwrap();
        let root = StateRoot::new(tmp.path().join("root"));
        let (dir, _lock) = root.claim(&id("a")).unwrap();
        dir.save(&Record::for_tests("a")).unwrap();
        assert!(matches!(
            root.claim(&id("a")),
            Err(StateError::Exists { .. })
        ));
    }

    #[test]
    fn an_unfinished_create_can_be_taken_over() {
        let tmp = tempfile::tempdir().unwrap();
        let root = StateRoot::new(tmp.path());
        let (dir, lock) = root.claim(&id("a")).unwrap();
        let mut record = Record::for_tests("a");
        record.phase = Phase::Creating;
        dir.save(&record).unwrap();
        fs::create_dir(dir.libcontainer_root()).unwrap();
        drop(lock);

        let (dir, _lock) = root.claim(&id("a")).unwrap();
        assert!(dir.leftover().is_some());
        dir.clear().unwrap();
        assert!(!dir.libcontainer_root().exists());
        assert!(dir.leftover().is_none());
    }

    #[test]
    fn a_torn_record_is_named_and_keeps_the_id() {
        let tmp = tempfile::tempdir().unwrap();
        let root = StateRoot::new(tmp.path());
        let (dir, lock) = root.claim(&id("a")).unwrap();
        fs::write(dir.path().join(RECORD), "{\"id\":").unwrap();
        drop(lock);
        assert!(matches!(dir.record(), Err(StateError::Torn { .. })));
        assert!(matches!(
            root.claim(&id("a")),
            Err(StateError::Exists { .. })
        ));
    }

    #[test]
    fn what_is_in_the_place_of_a_file_is_torn_and_can_be_forced_away() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = StateRoot::new(tmp.path()).container(&id("a"));
        for file in [RECORD, LOCK] {
            fs::create_dir_all(dir.path().join(file).join("full")).unwrap();
        }
        assert!(matches!(dir.record(), Err(StateError::Torn { .. })));
        let lock = |kind| dir.lock(kind, Duration::ZERO);
        assert!(matches!(
            lock(LockKind::Shared),
            Err(StateError::Torn { .. })
        ));
        let claimed = StateRoot::new(tmp.path()).claim(&id("a"));
        assert!(matches!(claimed, Err(StateError::Exists { .. })));
        let _lock = dir.lock_by_force(Duration::ZERO).unwrap();
        dir.remove().unwrap();
        assert!(!dir.exists());
    }

    #[test]
    fn a_command_that_did_not_sign_is_not_killed() {
        let tmp = tempfile::tempdir().unwrap();
        let root = StateRoot::new(tmp.path());
        let (dir, lock) = root.claim(&id("a")).unwrap();
        // Signed by a process of this pid that is gone.
        let own = ProcessRef::own().unwrap();
        let earlier = ProcessRef {
            start_time: own.start_time - 1,
            ..own
        };
        lock.sign(earlier).unwrap();
        let waited = std::thread::spawn(move || drop(lock));
        dir.lock_by_force(Duration::ZERO).unwrap();
        waited.join().unwrap();
    }

    #[test]
    fn a_container_that_is_not_there_does_not_exist() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = StateRoot::new(tmp.path()).container(&id("a"));
        assert!(matches!(dir.record(), Err(StateError::NotExist { .. })));
        assert!(matches!(
            dir.lock(LockKind::Exclusive, Duration::ZERO),
            Err(StateError::NotExist { .. })
        ));
    }

    #[test]
    fn ids_lists_directories_only() {
        let tmp = tempfile::tempdir().unwrap();
        fs::create_dir(tmp.path().join("b")).unwrap();
        fs::create_dir(tmp.path().join("a")).unwrap();
        fs::write(tmp.path().join("file"), "").unwrap();
        let ids = StateRoot::new(tmp.path()).ids().unwrap();
        assert_eq!(ids, [id("a"), id("b")]);
    }
}
