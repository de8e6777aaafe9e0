//! The standard streams of a process.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat, major, minor};
use nix::unistd::{Uid, fchown};

use super::ProcessError;

/// Which of its standard streams a process is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streams {
    /// All: they were made for it, as by an engine that detaches, or are a terminal of
    /// the container.
    All,
    /// Pipes and sockets: the rest is the caller's, perhaps a person's terminal.
    Pipes,
}

/// Gives standard streams to user `uid`, who could else write to them and yet not open
/// /dev/stdout, as programs that log to a file of that name do. runc does the same
/// (`fixStdioPermissions`); libcontainer does not.
///
/// What cannot change hands, as a file on a read-only file system or one of a user that
/// the user namespace does not know, stays as it is; so does /dev/null, which is
/// everybody's.
///
/// # Errors
/// Where a stream cannot be looked at.
pub fn give(streams: Streams, uid: u32) -> Result<(), ProcessError> {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    for stream in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
        give_one(stream, streams, uid).map_err(ProcessError::system(
            "cannot give a standard stream to the user",
        ))?;
    }
    Ok(())
}

fn give_one(stream: BorrowedFd<'_>, streams: Streams, uid: u32) -> nix::Result<()> {
    let stat = match fstat(stream) {
        // Closed by the caller.
        Err(Errno::EBADF) => return Ok(()),
        stat => stat?,
    };
    let kind = stat.st_mode & SFlag::S_IFMT.bits();
    let is_null =
        kind == SFlag::S_IFCHR.bits() && (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3);
    let is_pipe = kind == SFlag::S_IFIFO.bits() || kind == SFlag::S_IFSOCK.bits();
    if is_null || stat.st_uid == uid || (streams == Streams::Pipes && !is_pipe) {
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
    fn a_file_changes_hands_where_it_is_the_containers_and_the_null_device_never() {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        let file = tempfile::tempfile().unwrap();
        give_one(file.as_fd(), Streams::Pipes, 1000).unwrap();
        assert_eq!(file.metadata().unwrap().uid(), 0);
        give_one(file.as_fd(), Streams::All, 1000).unwrap();
        assert_eq!(file.metadata().unwrap().uid(), 1000);
        let (pipe, _other) = std::io::pipe().unwrap();
        give_one(pipe.as_fd(), Streams::Pipes, 1000).unwrap();
        assert_eq!(fstat(&pipe).unwrap().st_uid, 1000);
        let null = std::fs::File::open("/dev/null").unwrap();
        let owner = null.metadata().unwrap().uid();
        give_one(null.as_fd(), Streams::All, 1000).unwrap();
        assert_eq!(null.metadata().unwrap().uid(), owner);
    }
}
