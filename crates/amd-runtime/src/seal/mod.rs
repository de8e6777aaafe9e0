//! Runs the runtime from a copy of its binary that nobody can write (CVE-2019-5736).
//!
//! A process that enters a container is, until it executes the user's program, a fork of the
//! runtime, and whoever controls the container can open `/proc/PID/exe` of it. Were that the
//! installed binary, root in the container could overwrite it and so own the host. [`ensure_sealed`]
//! replaces the process by itself, executed from
//!
//! 1. a detached overlay mount without an upper layer over the binary's directory: its superblock
//!    is read-only for ever, nothing is copied, and the mount is in no namespace; or, where that
//!    is not possible (rootless, a kernel before 5.8, a file system that overlayfs does not take),
//! 2. a copy in a memfd with all seals.
//!
//! What stays of it: the mount or the memfd, held by the running program alone and gone with the
//! last process that runs it. No file descriptor, no entry in a mount table, no variable in the
//! environment (`/proc/PID/environ`, which shows the one that execve(2) was given, has a process id
//! and a mount id more). `/proc/self/exe` is then a name inside the mount, so
//! `std::env::current_exe` no longer leads to the installed file.
//!
//! Commands that enter no container (`state`, `kill`, ...) need no seal.

mod exe;
mod marker;
mod memfd;
mod overlay;

use std::convert::Infallible;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::fcntl::AtFlags;
use nix::unistd::execveat;

use self::exe::{ExeFacts, Executable};
use self::marker::Marker;

/// The proof that the process runs from a sealed binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Sealed {
    by: SealedBy,
}

impl Sealed {
    /// What protects the binary.
    pub fn by(self) -> SealedBy {
        self.by
    }
}

/// What protects the binary from being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedBy {
    /// A detached, read-only overlay mount.
    Overlay,
    /// A memfd with all seals.
    Memfd,
}

/// A binary that could not be sealed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// `/proc/self/exe` cannot be examined.
    #[error("cannot examine /proc/self/exe")]
    Exe(#[source] io::Error),
    /// Neither way to seal it worked.
    #[error("cannot seal the runtime's binary: {overlay}; {memfd}")]
    Impossible {
        /// Why not by an overlay mount.
        overlay: StepError,
        /// Why not by a memfd.
        memfd: StepError,
    },
    /// The process was executed from a sealed file and yet does not run from one.
    #[error("the runtime was executed from a sealed binary, but /proc/self/exe is another file")]
    NotInForce,
}

impl SealError {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Exe(_) => Some("/proc must be mounted".to_string()),
            Self::Impossible { memfd, .. } if memfd.errno() == Some(libc::EACCES) => Some(
                "executable memfds are switched off: set the sysctl vm.memfd_noexec to 0 or 1, or \
                 run as root with overlayfs available"
                    .to_string(),
            ),
            Self::Impossible { .. } => {
                Some("load overlayfs (`modprobe overlay`) and run as root".to_string())
            }
            Self::NotInForce => None,
        }
    }
}

/// A step of sealing that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {cause}")]
pub struct StepError {
    /// What was tried.
    pub step: &'static str,
    /// The kernel's answer.
    pub cause: io::Error,
}

impl StepError {
    fn errno(&self) -> Option<i32> {
        self.cause.raw_os_error()
    }

    /// Names the step of an error.
    fn at<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> Self {
        move |cause| Self {
            step,
            cause: cause.into(),
        }
    }
}

/// Returns when the process runs from a sealed binary; executes it again from one, with the same
/// arguments, environment and open files, when it does not.
///
/// `scratch_dir` is the second layer that an overlay mount without an upper one must have: any
/// directory that exists, best an empty one; nothing is written to it. Where it does not exist the
/// memfd is used.
///
/// To be called first in `main`, before there are threads and before anything with an effect, since
/// all that came before runs twice.
///
/// # Errors
/// The binary cannot be sealed. No container may be entered then. It never executes itself more
/// than once.
pub fn ensure_sealed(scratch_dir: &Path) -> Result<Sealed, SealError> {
    crate::reentry::dispatch();
    let marker = Marker::take();
    let exe = Executable::running().map_err(SealError::Exe)?;
    let facts = exe.facts().map_err(SealError::Exe)?;
    match decide(marker, facts) {
        Decision::Sealed(by) => {
            if marker.is_some() {
                // Executing by file descriptor has left its number as the name.
                exe::restore_process_name();
            }
            Ok(Sealed { by })
        }
        Decision::NotInForce => Err(SealError::NotInForce),
        Decision::Seal => match seal(&exe, scratch_dir)? {},
    }
}

/// Whether [`ensure_sealed`] has executed this process anew, and is to be called still.
pub(crate) fn is_second_run() -> bool {
    Marker::is_there()
}

/// What to do about the file that the process runs from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Sealed(SealedBy),
    Seal,
    /// It was sealed a moment ago and is not: sealing it again would never end.
    NotInForce,
}

/// Decides from what the kernel says about the file. The marker is never enough by itself.
///
/// The seals of a memfd speak for themselves. A read-only overlay does not: it may be the root of a
/// container or of an immutable host, whose files can be written by another way. So it counts only
/// if it is the very mount that this process made before it executed itself.
fn decide(marker: Option<Marker>, facts: ExeFacts) -> Decision {
    if facts.sealed_memfd {
        return Decision::Sealed(SealedBy::Memfd);
    }
    match marker {
        None => Decision::Seal,
        Some(Marker::Overlay { mount_id })
            if facts.read_only_overlay && facts.mount_id == Some(mount_id) =>
        {
            Decision::Sealed(SealedBy::Overlay)
        }
        Some(_) => Decision::NotInForce,
    }
}

/// Executes the binary from a sealed file. Returns only an error.
fn seal(exe: &Executable, scratch_dir: &Path) -> Result<Infallible, SealError> {
    let overlay = match overlay::open(exe, scratch_dir)
        .and_then(|(file, mount_id)| execute(file.as_fd(), Marker::Overlay { mount_id }))
    {
        Ok(never) => match never {},
        Err(error) => error,
    };
    tracing::debug!(%overlay, "no overlay mount to seal the binary, copying it");
    let memfd = match memfd::copy(exe).and_then(|file| execute(file.as_fd(), Marker::Memfd)) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    Err(SealError::Impossible { overlay, memfd })
}

/// Executes `file` with the arguments and the environment of this process, and the marker.
fn execute(file: BorrowedFd<'_>, marker: Marker) -> Result<Infallible, StepError> {
    let step = "execveat";
    let args: Vec<CString> = std::env::args_os()
        .map(|arg| CString::new(arg.as_bytes()))
        .collect::<Result<_, _>>()
        .map_err(StepError::at(step))?;
    let (name, value) = marker.variable();
    let environment: Vec<CString> = std::env::vars_os()
        .chain([(name.into(), value)])
        .map(|(name, value)| CString::new([name.as_bytes(), value.as_bytes()].join(&b'=')))
        .collect::<Result<_, _>>()
        .map_err(StepError::at(step))?;
    execveat(file, c"", &args, &environment, AtFlags::AT_EMPTY_PATH).map_err(StepError::at(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNSEALED: ExeFacts = ExeFacts {
        sealed_memfd: false,
        read_only_overlay: false,
        mount_id: Some(30),
    };
    const ON_OVERLAY: ExeFacts = ExeFacts {
        read_only_overlay: true,
        ..UNSEALED
    };
    const ON_MEMFD: ExeFacts = ExeFacts {
        sealed_memfd: true,
        mount_id: Some(9),
        ..UNSEALED
    };

    #[test]
    fn an_installed_binary_is_sealed() {
        assert_eq!(decide(None, UNSEALED), Decision::Seal);
    }

    #[test]
    fn all_seals_of_a_memfd_are_enough() {
        assert_eq!(decide(None, ON_MEMFD), Decision::Sealed(SealedBy::Memfd));
        assert_eq!(
            decide(Some(Marker::Memfd), ON_MEMFD),
            Decision::Sealed(SealedBy::Memfd)
        );
    }

    #[test]
    fn the_mount_of_this_process_is_enough() {
        let marker = Some(Marker::Overlay { mount_id: 30 });
        assert_eq!(
            decide(marker, ON_OVERLAY),
            Decision::Sealed(SealedBy::Overlay)
        );
    }

    #[test]
    fn a_read_only_overlay_that_this_process_did_not_make_is_no_seal() {
        assert_eq!(decide(None, ON_OVERLAY), Decision::Seal);
    }

    #[test]
    fn what_is_unsealed_after_sealing_is_an_error_and_not_sealed_again() {
        let without_mount_id = ExeFacts {
            mount_id: None,
            ..ON_OVERLAY
        };
        for (marker, facts) in [
            (Marker::Memfd, UNSEALED),
            (Marker::Memfd, ON_OVERLAY),
            (Marker::Overlay { mount_id: 30 }, UNSEALED),
            (Marker::Overlay { mount_id: 31 }, ON_OVERLAY),
            (Marker::Overlay { mount_id: 30 }, without_mount_id),
        ] {
            assert_eq!(
                decide(Some(marker), facts),
                Decision::NotInForce,
                "{marker:?} {facts:?}"
            );
        }
    }
}
