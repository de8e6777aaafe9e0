//! A /proc that is one, for what a process inside a container has to write there: what an image or
//! a volume has at /proc is nobody's kernel parameter and no attribute of this process
//! (CVE-2019-16884, CVE-2025-52881).

use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use crate::mounts::new_mount;
use crate::path_fd;
use crate::process::errno_text;

/// A procfs of this process's PID namespace.
#[derive(Debug)]
pub struct VerifiedProc(OwnedFd);

impl VerifiedProc {
    /// One that nobody has put anything on; that at /proc where none can be mounted, as in a user
    /// namespace with the PID namespace of the host.
    ///
    /// # Errors
    /// Where there is neither.
    pub fn open() -> io::Result<Self> {
        if let Ok(fresh) = new_mount("proc", Path::new("proc"), 0, &[]) {
            return Ok(Self(fresh));
        }
        let proc = path_fd::find("/proc", OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW)?;
        if fstatfs(&proc)?.filesystem_type() != PROC_SUPER_MAGIC {
            return Err(io::Error::other("it is not a procfs"));
        }
        Ok(Self(proc))
    }

    /// Writes `value` to the file `path` in it, through no link and nothing that is mounted there.
    ///
    /// # Errors
    /// With the call that failed, and why.
    pub fn write(&self, path: &str, value: &str) -> Result<(), WriteError> {
        let failed = |call, errno: Errno| WriteError {
            call,
            path: path.to_owned(),
            errno,
        };
        let how = OpenHow::new()
            .flags(OFlag::O_WRONLY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_SYMLINKS);
        let file = openat2(self.0.as_fd(), path, how).map_err(|errno| failed("open", errno))?;
        let written = File::from(file).write_all(value.as_bytes());
        written.map_err(|err| {
            let errno = err.raw_os_error().unwrap_or(libc::EIO);
            failed("write", Errno::from_raw(errno))
        })
    }
}

/// Why a file could not be written, as Go words it.
#[derive(Debug, thiserror::Error)]
#[error("{call} /proc/{path}: {}", errno_text(*errno))]
pub struct WriteError {
    call: &'static str,
    path: String,
    errno: Errno,
}
