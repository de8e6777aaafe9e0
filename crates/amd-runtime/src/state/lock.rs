//! The lock of a container.
//!
//! A POSIX record lock rather than flock(2): a container's init is cloned from the
//! process that creates it, and an flock is inherited by every child that has the
//! descriptor, so that an init left behind by a killed `create` would hold it. A
//! record lock belongs to the process alone and goes with it.
//!
//! A command that can hang for reasons that are not its own, as in a hook or in an image's files,
//! signs the lock: [`Lock::sign`]. Who has to get past it can then tell whom to end.
//!
//! Record locks do not exclude threads of one process from each other, which an embedding program
//! can have, and closing any descriptor of the file lets go of them all. So a process opens the
//! file once, and [`IN_PROCESS`] counts who in it holds the lock.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use super::{ProcessRef, read_regular};

/// The locks that this process holds.
static IN_PROCESS: LazyLock<Mutex<HashMap<PathBuf, Held>>> = LazyLock::new(Mutex::default);

fn in_process() -> MutexGuard<'static, HashMap<PathBuf, Held>> {
    IN_PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A lock that this process holds.
#[derive(Debug)]
struct Held {
    kind: LockKind,
    /// How many [`Lock`]s there are of it.
    holders: usize,
    // Closing it releases the record lock.
    file: File,
}

/// Length of a signature.
const SIGNATURE: u64 = 32;

/// First pause between two attempts; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Whom a lock excludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Everybody: the container is about to change.
    Exclusive,
    /// Those who would change the container, and no others who only need it to stay.
    Shared,
}

/// A held lock; dropping it lets go.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
}

/// Why a lock was not taken.
#[derive(Debug)]
pub enum LockError {
    /// The lock file, or its directory, is gone: so is what it guarded.
    Gone,
    /// Something else than a file is at its path: nobody ever held it.
    NotAFile,
    /// Somebody else holds it.
    Held {
        /// Pid of the holder.
        holder: i32,
    },
    /// A system call failed.
    Io(io::Error),
}

impl Lock {
    /// Takes the lock at `path`, and waits up to `patience` for another holder to let go.
    ///
    /// # Errors
    /// See [`LockError`]; a file that is missing is [`LockError::Gone`].
    pub fn take(path: &Path, kind: LockKind, patience: Duration) -> Result<Self, LockError> {
        Self::wait(path, kind, patience, false)
    }

    /// As [`Lock::take`], and makes the file where it is missing.
    ///
    /// # Errors
    /// See [`LockError`]; a directory that is missing is [`LockError::Gone`].
    pub fn make(path: &Path, kind: LockKind, patience: Duration) -> Result<Self, LockError> {
        Self::wait(path, kind, patience, true)
    }

    fn wait(
        path: &Path,
        kind: LockKind,
        patience: Duration,
        create: bool,
    ) -> Result<Self, LockError> {
        let deadline = Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        loop {
            match Self::attempt(path, kind, create) {
                Err(LockError::Held { holder }) if Instant::now() < deadline => {
                    tracing::debug!(?path, holder, "waiting for the lock");
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                other => return other,
            }
        }
    }

    fn attempt(path: &Path, kind: LockKind, create: bool) -> Result<Self, LockError> {
        // Held on to, so that no other thread closes the file, or opens it, meanwhile.
        let mut in_process = in_process();
        let entry = match in_process.entry(path.to_owned()) {
            Entry::Vacant(entry) => entry,
            Entry::Occupied(mut held) => return Self::join(held.get_mut(), path, kind),
        };
        let file = fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(path)
            .map_err(|err| match err.raw_os_error() {
                Some(libc::ENOENT) => LockError::Gone,
                Some(libc::EISDIR | libc::ELOOP | libc::ENOTDIR | libc::ENXIO) => {
                    LockError::NotAFile
                }
                _ => LockError::Io(err),
            })?;
        if !file.metadata().map_err(LockError::Io)?.is_file() {
            return Err(LockError::NotAFile);
        }
        lock_file(&file, kind)?;
        // The holder before us may have removed the container while we opened its lock.
        if file.metadata().map_err(LockError::Io)?.nlink() == 0 {
            return Err(LockError::Gone);
        }
        entry.insert(Held {
            kind,
            holders: 1,
            file,
        });
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Holds what another thread of this process holds.
    fn join(held: &mut Held, path: &Path, kind: LockKind) -> Result<Self, LockError> {
        if (held.kind, kind) != (LockKind::Shared, LockKind::Shared) {
            return Err(LockError::Held {
                holder: std::process::id() as i32,
            });
        }
        held.holders += 1;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Writes into the file who holds the lock.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn sign(&self, holder: ProcessRef) -> io::Result<()> {
        // In one write(2), padded to one length: a reader finds a whole signature or an older one.
        let line = format!("{:>10} {:>20}\n", holder.pid, holder.start_time);
        match in_process().get(&self.path) {
            Some(held) => held.file.write_all_at(line.as_bytes(), 0),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Who signed the lock at `path` last, whether or not he still holds it.
    pub fn signed_by(path: &Path) -> Option<ProcessRef> {
        let text = match in_process().get(path) {
            Some(held) => read_signature(&held.file).ok()?,
            None => read_regular(path).ok()?,
        };
        let text = String::from_utf8(text).ok()?;
        let (pid, start_time) = text.trim().split_once(' ')?;
        Some(ProcessRef {
            pid: pid.parse().ok()?,
            start_time: start_time.trim().parse().ok()?,
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let mut in_process = in_process();
        if let Some(held) = in_process.get_mut(&self.path) {
            held.holders -= 1;
            if held.holders == 0 {
                in_process.remove(&self.path);
            }
        }
    }
}

/// The signature, by the descriptor that is there.
fn read_signature(file: &File) -> io::Result<Vec<u8>> {
    let mut text = vec![0; file.metadata()?.len().min(SIGNATURE) as usize];
    file.read_exact_at(&mut text, 0)?;
    Ok(text)
}

fn lock_file(file: &File, kind: LockKind) -> Result<(), LockError> {
    match fcntl(file, FcntlArg::F_SETLK(&whole_file(kind))) {
        Ok(_) => Ok(()),
        Err(Errno::EAGAIN | Errno::EACCES) => {
            let mut lock = whole_file(kind);
            fcntl(file, FcntlArg::F_GETLK(&mut lock)).map_err(|err| LockError::Io(err.into()))?;
            Err(LockError::Held { holder: lock.l_pid })
        }
        Err(err) => Err(LockError::Io(err.into())),
    }
}

fn whole_file(kind: LockKind) -> libc::flock {
    libc::flock {
        l_type: match kind {
            LockKind::Exclusive => libc::F_WRLCK,
            LockKind::Shared => libc::F_RDLCK,
        } as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_excludes_another_thread_of_the_same_process() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("lock");
        let held = Lock::make(&path, LockKind::Exclusive, Duration::ZERO).unwrap();
        assert!(matches!(
            Lock::take(&path, LockKind::Exclusive, Duration::ZERO),
            Err(LockError::Held { .. })
        ));
        drop(held);
        assert!(Lock::take(&path, LockKind::Exclusive, Duration::ZERO).is_ok());
    }

    #[test]
    fn shared_locks_go_together_and_not_with_an_exclusive_one() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("lock");
        let shared = || Lock::make(&path, LockKind::Shared, Duration::ZERO);
        let (one, other) = (shared(), shared());
        assert!(one.is_ok() && other.is_ok());
        drop((one, other));
        let _exclusive = Lock::take(&path, LockKind::Exclusive, Duration::ZERO).unwrap();
        assert!(matches!(shared(), Err(LockError::Held { .. })));
    }

    /// Takes the lock in another process, and tells whether that was possible.
    fn is_free_for_another_process(path: &Path) -> bool {
        let script = "import fcntl,sys\n\
                      fcntl.lockf(open(sys.argv[1],'r+'),fcntl.LOCK_EX|fcntl.LOCK_NB)";
        let tried = std::process::Command::new("python3")
            .args(["-c", script])
            .arg(path)
            .stderr(std::process::Stdio::null())
            .status();
        tried.unwrap().success()
    }

    #[test]
    fn a_shared_lock_of_one_thread_excludes_an_exclusive_one_of_another() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("lock");
        let shared = Lock::make(&path, LockKind::Shared, Duration::ZERO).unwrap();
        let take = |kind| {
            let path = path.clone();
            let taken = std::thread::spawn(move || Lock::take(&path, kind, Duration::ZERO));
            taken.join().unwrap()
        };
        let exclusive = take(LockKind::Exclusive);
        assert!(matches!(exclusive, Err(LockError::Held { .. })));
        assert!(take(LockKind::Shared).is_ok());
        drop(shared);
        assert!(take(LockKind::Exclusive).is_ok());
    }

    #[test]
    fn a_lock_is_held_until_the_last_thread_lets_go_whoever_reads_its_file() {
        if std::process::Command::new("python3")
            .arg("-V")
            .output()
            .is_err()
        {
            println!("skipped: no python3 to try the lock");
            return;
        }
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("lock");
        let one = Lock::make(&path, LockKind::Shared, Duration::ZERO).unwrap();
        let other = Lock::take(&path, LockKind::Shared, Duration::ZERO).unwrap();
        drop(one);
        assert!(!is_free_for_another_process(&path));
        let own = ProcessRef::own().unwrap();
        other.sign(own).unwrap();
        assert_eq!(Lock::signed_by(&path), Some(own));
        assert!(!is_free_for_another_process(&path));
        drop(other);
        assert!(is_free_for_another_process(&path));
    }

    #[test]
    fn a_signature_outlasts_the_lock_and_names_who_held_it() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("lock");
        let lock = Lock::make(&path, LockKind::Exclusive, Duration::ZERO).unwrap();
        assert_eq!(Lock::signed_by(&path), None);
        let own = ProcessRef::own().unwrap();
        lock.sign(own).unwrap();
        drop(lock);
        assert_eq!(Lock::signed_by(&path), Some(own));
    }

    #[test]
    fn what_is_no_file_is_no_lock() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("dir");
        fs::create_dir(&dir).unwrap();
        let link = tmp.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        let fifo = tmp.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [dir, link, fifo] {
            let taken = Lock::take(&path, LockKind::Exclusive, Duration::ZERO);
            assert!(
                matches!(taken, Err(LockError::NotAFile)),
                "{path:?}: {taken:?}"
            );
        }
    }

    #[test]
    fn a_lock_whose_directory_is_gone_says_so() {
        let tmp = tempfile::tempdir().unwrap();
        let missing = tmp.path().join("gone/lock");
        assert!(matches!(
            Lock::make(&missing, LockKind::Exclusive, Duration::ZERO),
            Err(LockError::Gone)
        ));
    }

    #[test]
    fn another_process_is_excluded_and_named() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("lock");
        let script = "import fcntl,sys,time\nf=open(sys.argv[1],'w')\nfcntl.lockf(f,fcntl.LOCK_EX)\n\
                      print('held',flush=True)\nsys.stdin.read()";
        let Ok(mut child) = std::process::Command::new("python3")
            .args(["-c", script])
            .arg(&path)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
        else {
            println!("skipped: no python3 to hold the lock");
            return;
        };
        let mut said = [0; 5];
        io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
        match Lock::take(&path, LockKind::Exclusive, Duration::ZERO) {
            Err(LockError::Held { holder }) => assert_eq!(holder, child.id() as i32),
            other => panic!("{other:?}"),
        }
        drop(child.stdin.take());
        assert!(Lock::take(&path, LockKind::Exclusive, Duration::from_secs(10)).is_ok());
        child.wait().unwrap();
    }
}
