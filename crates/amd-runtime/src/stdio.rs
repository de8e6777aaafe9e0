//! The standard streams of a detached container.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat, major, minor, stat};
use nix::unistd::{Uid, chown, fchown};
use serde_json::Value;

use crate::error::{Error, Result};

/// Gives this process's standard streams, which a detached container inherits, to the
/// user of `process`: else it could write to them and yet not open /dev/stdout, as
/// programs that log to a file of that name do. runc does the same
/// (`fixStdioPermissions`); libcontainer does not.
///
/// What cannot change hands, as a socket or a file on a read-only file system, stays as
/// it is; so does /dev/null, which is everybody's.
///
/// # Errors
/// Where a stream cannot be looked at.
pub fn give_to_user_of(process: &Value) -> Result<()> {
    let Some(uid) = uid_of(process) else {
        return Ok(());
    };
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for stream in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        give(stream, uid).map_err(|err| {
            Error::system("cannot give a standard stream to the user")(err.into())
        })?;
    }
    Ok(())
}

/// Gives the terminal of process `pid`, its standard input, to the user of `process`,
/// for the same reason. The terminal is made inside the container, as root.
///
/// # Errors
/// Where the terminal cannot be looked at or change hands.
pub fn give_terminal_of(pid: i32, process: &Value) -> Result<()> {
    let Some(uid) = uid_of(process) else {
        return Ok(());
    };
    let path = format!("/proc/{pid}/fd/0");
    let done = stat(path.as_str()).and_then(|stat| {
        // Unix98 pseudo-terminals (kernel document devices.txt); a process that has
        // exited, or put something else there, has no use for it.
        let is_char = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits();
        if is_char && (136..=143).contains(&major(stat.st_rdev)) && stat.st_uid != uid {
            chown(path.as_str(), Some(Uid::from_raw(uid)), None)?;
        }
        Ok(())
    });
    match done {
        Err(Errno::ENOENT | Errno::ESRCH) => Ok(()),
        done => done.map_err(|err| {
            Error::system("cannot give the terminal to the container's user")(err.into())
        }),
    }
}

/// The user of a process, root where none is named; `None` for what is no uid.
fn uid_of(process: &Value) -> Option<u32> {
    let uid = process.pointer("/user/uid").and_then(Value::as_u64);
    u32::try_from(uid.unwrap_or(0)).ok()
}

fn give(stream: BorrowedFd<'_>, uid: u32) -> nix::Result<()> {
    let stat = match fstat(stream) {
        // Closed by the caller.
        Err(Errno::EBADF) => return Ok(()),
        stat => stat?,
    };
    let is_char = stat.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits();
    let is_null = is_char && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3);
    if is_null || stat.st_uid == uid {
        return Ok(());
    }
    match fchown(stream, Some(Uid::from_raw(uid)), None) {
        Err(Errno::EINVAL | Errno::EPERM | Errno::EROFS) => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_file_changes_hands_and_the_null_device_does_not() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let file = tempfile::tempfile().unwrap();
        give(file.as_fd(), 1000).unwrap();
        assert_eq!(file.metadata().unwrap().uid(), 1000);
        let null = std::fs::File::open("/dev/null").unwrap();
        let owner = null.metadata().unwrap().uid();
        give(null.as_fd(), 1000).unwrap();
        assert_eq!(null.metadata().unwrap().uid(), owner);
    }
}
