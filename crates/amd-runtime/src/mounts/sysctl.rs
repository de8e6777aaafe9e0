//! `linux.sysctl`, which has to be written before /proc is protected.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use super::attach::new_mount;
use super::error::{MountError, Result as MountResult, Step};
use crate::process::errno_text;

/// Writes kernel parameters of this process's namespaces.
///
/// # Errors
/// Names the first that cannot be written.
pub fn write(parameters: &BTreeMap<String, String>) -> MountResult<()> {
    if parameters.is_empty() {
        return Ok(());
    }
    let proc = proc().step(|| "open /proc".into())?;
    for (key, value) in parameters {
        let file = format!("sys/{}", key.replace('.', "/"));
        write_file(&proc, Path::new(&file), value).map_err(|(what, errno)| {
            // runc's words, by which docker finds its exit code.
            let why = errno_text(errno);
            MountError::Refused(format!(
                "write sysctl key {key}: {what} /proc/{file}: {why}"
            ))
        })?;
    }
    Ok(())
}

/// A /proc that nobody has put anything on; the container's where none can be mounted, as in
/// a user namespace with the PID namespace of the host. Parameters are those of the process
/// that writes, in either.
fn proc() -> io::Result<OwnedFd> {
    if let Ok(fresh) = new_mount("proc", Path::new("proc"), 0, &[]) {
        return Ok(fresh);
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let proc = open("/proc", flags, Mode::empty())?;
    // What an image or a volume has there is no kernel parameter (CVE-2025-52881).
    if fstatfs(&proc)?.filesystem_type() != PROC_SUPER_MAGIC {
        return Err(io::Error::other("it is not a procfs"));
    }
    Ok(proc)
}

/// What failed, and why, where it does.
fn write_file(proc: &OwnedFd, path: &Path, value: &str) -> Result<(), (&'static str, Errno)> {
    // Nothing that is mounted in it, and no link.
    let how = OpenHow::new()
        .flags(OFlag::O_WRONLY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_NO_XDEV | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let file = openat2(proc.as_fd(), path, how).map_err(|errno| ("open", errno))?;
    let written = File::from(file).write_all(value.as_bytes());
    written.map_err(|err| {
        (
            "write",
            Errno::from_raw(err.raw_os_error().unwrap_or(libc::EIO)),
        )
    })
}
