//! One command of ours at a time edits the files of a directory.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::ConfigError;

/// How long a command waits for another. It holds the lock for milliseconds; who holds it longer
/// is none of ours: everybody who may read a directory may lock it.
const PATIENCE: Duration = Duration::from_secs(10);

const PAUSE: Duration = Duration::from_millis(20);

/// Waits until no other command of ours edits the files of `dir`, and keeps others waiting
/// as long as the value lives. None where there is no lock to be had, such as for a user
/// who may not read the directory.
///
/// # Errors
/// Where somebody holds the lock for 10 seconds.
pub fn lock(dir: &Path) -> Result<Option<Flock<File>>, ConfigError> {
    lock_within(dir, PATIENCE)
}

fn lock_within(dir: &Path, patience: Duration) -> Result<Option<Flock<File>>, ConfigError> {
    // The directory may be yet to be made.
    let existing = dir.ancestors().find(|dir| dir.is_dir());
    let Some((dir, file)) = existing.and_then(|dir| Some((dir, File::open(dir).ok()?))) else {
        return Ok(None);
    };
    let end = Instant::now() + patience;
    let mut file = file;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(Some(lock)),
            Err((back, Errno::EWOULDBLOCK | Errno::EINTR)) if Instant::now() < end => file = back,
            Err((_, Errno::EWOULDBLOCK)) => return Err(ConfigError::Locked(dir.to_owned())),
            Err(_) => return Ok(None),
        }
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_somebody_keeps_is_an_error_that_says_how_to_find_them() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        let error = lock_within(dir.path(), Duration::from_millis(50)).unwrap_err();
        let path = dir.path().display().to_string();
        assert_eq!(
            error.to_string(),
            format!("another program keeps {path} locked")
        );
        assert!(error.hint().unwrap().contains(&format!("fuser -v {path}")));
        drop(held);
        assert!(lock(dir.path()).unwrap().is_some());
    }

    #[test]
    fn a_directory_that_is_yet_to_be_made_is_locked_by_the_one_around() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(&dir.path().join("a/b")).unwrap();
        assert!(held.is_some());
        assert!(lock_within(dir.path(), Duration::ZERO).is_err());
    }
}
