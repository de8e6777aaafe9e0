//! `linux.sysctl`, which has to be written before /proc is protected.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;

use super::attach::new_mount;
use super::error::{Result, Step};

/// Writes kernel parameters of this process's namespaces.
///
/// # Errors
/// Names the first that cannot be written.
pub fn write(parameters: &BTreeMap<String, String>) -> Result<()> {
    if parameters.is_empty() {
        return Ok(());
    }
    let proc = proc().step(|| "open /proc".into())?;
    for (key, value) in parameters {
        let file = format!("sys/{}", key.replace('.', "/"));
        write_file(&proc, Path::new(&file), value)
            .step(|| format!("failed to write sysctl {key} = {value:?}"))?;
    }
    Ok(())
}

/// A /proc that nobody has put anything on; the host's where none can be mounted, as in a
/// user namespace whose /proc is masked. Parameters are those of the process that writes,
/// in either.
fn proc() -> io::Result<OwnedFd> {
    if let Ok(fresh) = new_mount("proc", Path::new("proc"), 0, &[]) {
        return Ok(fresh);
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(open("/proc", flags, Mode::empty())?)
}

fn write_file(proc: &OwnedFd, path: &Path, value: &str) -> io::Result<()> {
    let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    let file = openat(proc.as_fd(), path, flags, Mode::empty())?;
    File::from(file).write_all(value.as_bytes())
}
