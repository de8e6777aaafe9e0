//! SELinux: the label of a process, and of the keys that it makes (proc(5), `/proc/pid/attr`).
//! libcontainer sets none (youki's `builder_impl.rs`: "youki does not support selinux yet").
//! As go-selinux does it for runc.

use std::fs;

use nix::sys::statfs::{SELINUX_MAGIC, statfs};
use nix::sys::statvfs::{FsFlags, statvfs};
use nix::unistd::{getpid, gettid};

use super::ProcessError;
use crate::verified_proc::VerifiedProc;

/// Where its file system is.
const SELINUXFS: &str = "/sys/fs/selinux";

/// Whether labels can be set: the kernel has SELinux with a policy, and this process sees its
/// file system. To be asked before the root directory is the container's.
pub fn is_enabled() -> bool {
    if statfs(SELINUXFS).map_or(true, |found| found.filesystem_type() != SELINUX_MAGIC) {
        return false;
    }
    // A container gets it like that to be told that there is none for it.
    let read_only =
        statvfs(SELINUXFS).is_ok_and(|found| found.flags().contains(FsFlags::ST_RDONLY));
    // Without a policy everything is called so.
    let policy = fs::read("/proc/self/attr/current").is_ok_and(|label| {
        let label = label.strip_suffix(b"\0").unwrap_or(&label);
        !label.is_empty() && label != b"kernel"
    });
    !read_only && policy
}

/// Gives the next program of this process the label `label`.
///
/// # Errors
/// Where the policy does not know it, or does not let this process set one.
pub fn label_next_program(label: &str) -> Result<(), ProcessError> {
    write("exec", label, || format!("set process label {label:?}"))
}

/// Gives the keys that this thread makes from now on the label `label`; the policy's own where it
/// is empty.
///
/// # Errors
/// As [`label_next_program`].
pub fn label_keys(label: &str) -> Result<(), ProcessError> {
    // An empty write would be none.
    let value = if label.is_empty() { "\n" } else { label };
    write("keycreate", value, || format!("set key label {label:?}"))
}

fn write(attribute: &str, label: &str, what: impl FnOnce() -> String) -> Result<(), ProcessError> {
    let written = match VerifiedProc::open() {
        Ok(proc) => {
            let path = format!("{}/task/{}/attr/{attribute}", getpid(), gettid());
            proc.write(&path, label).map_err(|err| err.to_string())
        }
        Err(err) => Err(format!("open /proc: {err}")),
    };
    written.map_err(|why| ProcessError::Refused(format!("{}: {why}", what())))
}
