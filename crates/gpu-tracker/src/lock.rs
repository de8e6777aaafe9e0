//! The lock under which reservations are taken.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::{Files, TrackerError};

/// The held lock; dropping it lets go, and so does the end of the process.
///
/// flock(2), so that threads of one process exclude each other too. No process that is
/// forked while it is held keeps the descriptor for longer than until its exec.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Takes the lock, making its file and directory where they are missing. Sleeps in the
    /// kernel for as long as another process has it, which is microseconds.
    pub fn take(files: &Files) -> Result<Self, TrackerError> {
        let path = files.lock();
        loop {
            let file = match open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let dir = files.run();
                    DirBuilder::new()
                        .recursive(true)
                        .mode(0o755)
                        .create(&dir)
                        .map_err(TrackerError::io("cannot make", &dir))?;
                    continue;
                }
                file => file.map_err(TrackerError::io("cannot open", &path))?,
            };
            file.lock()
                .map_err(TrackerError::io("cannot lock", &path))?;
            let lock = Self(file);
            // Somebody may have removed the file, and another made it anew, while we waited.
            if lock.is_valid() {
                return Ok(lock);
            }
        }
    }

    /// Whether the file of the lock is still the one that others find.
    pub fn is_valid(&self) -> bool {
        self.0.metadata().is_ok_and(|meta| meta.nlink() > 0)
    }
}

fn open(path: &Path) -> io::Result<File> {
    fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}
