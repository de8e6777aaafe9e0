//! The working directory of a process.

use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{chdir, getcwd};

use super::ProcessError;

/// Changes to `cwd`. `Ok(false)` where this user may not: the container's user perhaps
/// may, as with a volume that is his.
///
/// # Errors
/// Where there is no such directory.
pub fn try_change(cwd: &Path) -> Result<bool, ProcessError> {
    match chdir(cwd) {
        Ok(()) => Ok(true),
        Err(Errno::EPERM | Errno::EACCES) => Ok(false),
        Err(errno) => Err(failed(cwd)(errno)),
    }
}

/// Changes to `cwd`.
///
/// # Errors
/// Where that is not possible.
pub fn change(cwd: &Path) -> Result<(), ProcessError> {
    chdir(cwd).map_err(failed(cwd))
}

/// Makes sure that the working directory is inside the container, and not one of the
/// host that a descriptor of the runtime led to (CVE-2024-21626).
///
/// # Errors
/// Where it is not.
pub fn verify() -> Result<(), ProcessError> {
    let refuse = |why: &str| Err(ProcessError::Refused(why.into()));
    match getcwd() {
        Ok(dir) if dir.is_absolute() => Ok(()),
        // getcwd(3): where the directory is not below the root of the process.
        Ok(_) | Err(Errno::ENOENT) => refuse(
            "current working directory is outside of container mount namespace root -- \
             possible container breakout detected",
        ),
        Err(errno) => Err(ProcessError::system(
            "failed to verify if current working directory is safe",
        )(errno)),
    }
}

fn failed(cwd: &Path) -> impl FnOnce(Errno) -> ProcessError {
    ProcessError::system(format!("chdir to cwd ({cwd:?}) set in config.json failed"))
}
