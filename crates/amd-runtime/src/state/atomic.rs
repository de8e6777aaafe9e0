//! Files that are there whole or not at all.

use std::fs;
use std::io::{self, Write};
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
    write_with_mode(path, content, 0o600)
}

/// Writes the pid of a container's process to the file that an engine named.
///
/// runc does it by rename as well: whoever waits for the file never reads half a
/// number.
///
/// # Errors
/// Where the directory cannot be written.
pub fn write_pid_file(path: &Path, pid: i32) -> io::Result<()> {
    write_with_mode(path, pid.to_string().as_bytes(), 0o644)
}

fn write_with_mode(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let temporary = temporary_name(path)?;
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(&temporary)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut hidden = std::ffi::OsString::from(".");
    hidden.push(name);
    hidden.push(format!(".{}", std::process::id()));
    Ok(path.with_file_name(hidden))
}

#[cfg(test)]
mod tests {
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
}
