//! Files that are there whole or not at all.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Replaces `path` by a file of mode 0600 with `content`: written beside it under a
/// hidden name of this process, then renamed.
///
/// No fsync: state lives on a tmpfs, and is void after a crash of the host.
///
/// # Errors
/// Where the directory cannot be written; what was at `path` then stays.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    Replace::new(path).write(content)
}

/// Writes the pid of a container's process to the file that an engine named.
///
/// runc does it by rename as well, and from one name: whoever waits for the file never reads half
/// a number, and what a killed command leaves the next one takes.
///
/// # Errors
/// Where the directory cannot be written.
pub fn write_pid_file(path: &Path, pid: i32) -> io::Result<()> {
    Replace::new(path)
        .mode(0o644)
        .alone()
        .write(pid.to_string().as_bytes())
}

/// All of a file, which must be one: a FIFO or a directory in its place is an error, and nothing
/// waits for it.
///
/// # Errors
/// Where it cannot be opened or read, or is no regular file (`InvalidData`).
pub fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is not a regular file",
        ));
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A file that is about to be replaced, whole or not at all.
#[derive(Clone, Copy, Debug)]
pub struct Replace<'p> {
    path: &'p Path,
    mode: u32,
    durable: bool,
    alone: bool,
}

impl<'p> Replace<'p> {
    /// Will replace `path` by a file of mode 0600, and not wait for a disk.
    pub fn new(path: &'p Path) -> Self {
        Self {
            path,
            mode: 0o600,
            durable: false,
            alone: false,
        }
    }

    /// With this mode, less the umask.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// So that a crash of the host leaves the old or the new file, too.
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// By a writer that holds a lock on the file: what an earlier one left when it was
    /// killed is written over, and not left beside it.
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Replaces the file.
    ///
    /// # Errors
    /// Where the directory cannot be written; what was there before then stays.
    pub fn write(self, content: &[u8]) -> io::Result<()> {
        let temporary = self.temporary()?;
        let written = self
            .fill(&temporary, content)
            .and_then(|()| fs::rename(&temporary, self.path));
        if written.is_err() {
            // The first error is the one to report.
            let _ = fs::remove_file(&temporary);
        }
        written?;
        match self.path.parent() {
            Some(dir) if self.durable => File::open(dir)?.sync_all(),
            _ => Ok(()),
        }
    }

    fn fill(&self, temporary: &Path, content: &[u8]) -> io::Result<()> {
        let create = || {
            fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(self.mode)
                .open(temporary)
        };
        let mut file = match create() {
            // Of an earlier writer that was killed; its mode is not to be trusted.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(temporary)?;
                create()?
            }
            file => file?,
        };
        file.write_all(content)?;
        if self.durable {
            file.sync_all()?;
        }
        Ok(())
    }

    fn temporary(&self) -> io::Result<PathBuf> {
        let name = self
            .path
            .file_name()
            .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let suffix = if self.alone {
            ".new".to_owned()
        } else {
            format!(".{}", std::process::id())
        };
        let hidden: OsString = [OsStr::new("."), name, OsStr::new(&suffix)]
            .into_iter()
            .collect();
        Ok(self.path.with_file_name(hidden))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_write_that_fails_leaves_the_old_file_and_nothing_else() {
        let tmp = tempfile::tempdir().unwrap();
        let target = tmp.path().join("is-a-directory");
        fs::create_dir_all(target.join("full")).unwrap();
        assert!(write_atomically(&target, b"new").is_err());
        assert!(target.join("full").is_dir());
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_new_content_replaces_the_old() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("f");
        fs::write(&path, "older and longer").unwrap();
        write_atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_writer_with_a_lock_takes_over_what_a_killed_one_left() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("f");
        fs::write(tmp.path().join(".f.new"), "half of somethi").unwrap();
        let replace = Replace::new(&path).mode(0o640).durable().alone();
        replace.write(b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(tmp.path()).unwrap().count(), 1);
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & !0o640, 0, "{mode:o}");
    }
}
