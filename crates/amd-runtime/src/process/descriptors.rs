//! The descriptors of a process: what it inherits, and nothing else (CVE-2024-21626).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{SFlag, fstat};

/// The first descriptor behind the standard streams.
const FIRST: RawFd = 3;

/// Closes what this process inherited beyond its standard streams, the `preserved`
/// descriptors after them, and `but`, which it still has to read. To be called before it
/// opens anything of its own: what it holds from its caller would be in the container's
/// init until that starts its program.
///
/// # Errors
/// Where the kernel cannot (before Linux 5.9).
pub fn close_inherited(preserved: u32, but: Option<RawFd>) -> io::Result<()> {
    let first = FIRST as u32 + preserved;
    match but.and_then(|fd| u32::try_from(fd).ok()) {
        Some(but) if but >= first => {
            if but > first {
                close_range(first, but - 1, 0)?;
            }
            close_range(but + 1, u32::MAX, 0)
        }
        _ => close_range(first, u32::MAX, 0),
    }
}

/// The inherited descriptor that `path` names, as a shell's process substitution does:
/// `/dev/fd/63`.
pub fn named_by(path: &Path) -> Option<RawFd> {
    let number = ["/dev/fd", "/proc/self/fd"]
        .iter()
        .find_map(|dir| path.strip_prefix(dir).ok())?;
    number.to_str()?.parse().ok().filter(|fd| *fd >= FIRST)
}

/// Closes an inherited descriptor: one that was read, see [`named_by`], or that belongs to a value
/// of the process that forked this one, and is never dropped here.
///
/// # Errors
/// Where it is not open.
pub fn close(fd: RawFd) -> nix::Result<()> {
    #[allow(unsafe_code)]
    // SAFETY: nothing that is used in this process owns it.
    let result = unsafe { libc::close(fd) };
    Errno::result(result).map(drop)
}

/// Checks that the descriptors which a process is to inherit are open.
///
/// # Errors
/// Names the first that is not, in runc's words.
pub fn check_preserved(preserved: u32) -> Result<(), String> {
    for at in 0..preserved {
        if !is_open(FIRST + at as RawFd) {
            return Err(format!(
                "unable to stat preserved-fd {at} (of {preserved}): no such file or directory"
            ));
        }
    }
    Ok(())
}

/// How many sockets systemd passed to this process: `LISTEN_FDS`, where `LISTEN_PID` says
/// that it is meant (sd_listen_fds(3)).
pub fn listen_fds() -> u32 {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok();
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if pid == std::process::id() => count,
        _ => 0,
    }
}

/// Lets everything but the standard streams close at the next execve(2).
pub fn close_on_exec() -> nix::Result<()> {
    let done = close_range(FIRST as u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    match done.map_err(|err| err.raw_os_error().map_or(Errno::EIO, Errno::from_raw)) {
        // Before Linux 5.11 it can only close.
        Err(Errno::EINVAL) => {
            for fd in FIRST..=highest() {
                #[allow(unsafe_code)]
                // SAFETY: takes numbers; a descriptor that is not open is an error without effect.
                unsafe {
                    libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
                }
            }
            Ok(())
        }
        done => done,
    }
}

/// Closes everything but the standard streams, the `preserved` descriptors after them,
/// which are to survive execve(2), and `link`. What is only marked to be closed could
/// still be executed, by way of /proc/self/fd.
pub fn keep_only(preserved: u32, link: Option<BorrowedFd<'_>>) {
    let end = FIRST as u32 + preserved;
    for fd in FIRST..end as RawFd {
        #[allow(unsafe_code)]
        // SAFETY: takes numbers; a descriptor that is not open is an error without effect.
        unsafe {
            libc::fcntl(fd, libc::F_SETFD, 0);
        }
    }
    // An old kernel without close_range(2), or a filter: they close at execve(2).
    let _ = close_inherited(preserved, link.map(|link| link.as_raw_fd()));
}

/// Gives up the files of the host that this process, the init of a container that is
/// created, has still open: all up to `last` but sockets and pipes, by which it is told
/// to start, and those that its program inherits.
///
/// In their place is a pipe that nobody reads: whoever owns such a descriptor in this
/// process, as a log, gets an error, and not another file that was opened since.
pub fn close_host_files(preserved: u32, last: RawFd) {
    let Ok((reader, dead)) = std::io::pipe() else {
        return;
    };
    drop(reader);
    for fd in FIRST + preserved as RawFd..=last {
        #[allow(unsafe_code)]
        // SAFETY: looked at by its number only, and for no longer than this call.
        let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
        let is_file = fstat(borrowed).is_ok_and(|stat| {
            let kind = stat.st_mode & SFlag::S_IFMT.bits();
            kind != SFlag::S_IFSOCK.bits() && kind != SFlag::S_IFIFO.bits()
        });
        if is_file {
            #[allow(unsafe_code)]
            // SAFETY: takes numbers; the descriptor stays open, and its owner's.
            unsafe {
                libc::dup3(dead.as_raw_fd(), fd, libc::O_CLOEXEC);
            }
        }
    }
}

/// The highest descriptor that this process has open.
pub fn highest() -> RawFd {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten();
    open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .max()
        .unwrap_or(FIRST)
}

fn is_open(fd: RawFd) -> bool {
    #[allow(unsafe_code)]
    // SAFETY: takes a number and reads its flags.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
    flags >= 0
}

fn close_range(first: u32, last: u32, flags: u32) -> io::Result<()> {
    #[allow(unsafe_code)]
    // SAFETY: takes numbers. The callers name descriptors that nothing here uses again.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    Errno::result(result)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_named_as_shells_name_them() {
        let named = |path: &str| named_by(Path::new(path));
        assert_eq!(named("/dev/fd/63"), Some(63));
        assert_eq!(named("/proc/self/fd/3"), Some(3));
        for other in [
            "/dev/fd/0",
            "/dev/fd/-1",
            "/dev/fd/x",
            "/dev/fd",
            "/fd/63",
            "63",
        ] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
