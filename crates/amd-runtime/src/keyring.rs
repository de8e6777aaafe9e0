//! A session keyring for each container: keys of the caller are not the container's.
//!
//! libcontainer has no notion of keyrings; runc joins one named `_ses.<id>` in the
//! container's init. Here the process that creates the container joins it, and the init
//! inherits it.

use std::ffi::CString;
use std::io;

use crate::error::{Error, Result};
use crate::id::ContainerId;
use crate::process::{ProcessError, selinux};

/// `KEYCTL_JOIN_SESSION_KEYRING` of keyctl(2).
const JOIN_SESSION_KEYRING: libc::c_int = 1;

/// Puts this process into the session keyring of container `id`, made if need be, with the SELinux
/// label of the container's process, `label`, where it has one. It stays there for the rest of the
/// calling process.
///
/// # Errors
/// Where the kernel refuses, but for a kernel without keyrings (`ENOSYS`), a seccomp
/// filter around the runtime (`EPERM`), and a full key quota (`EDQUOT`), where runc
/// goes on, too.
pub fn join_session(id: &ContainerId, label: &str) -> Result<()> {
    if label.is_empty() {
        return join(id);
    }
    let failed = |err: ProcessError| Error::Process(err.to_string());
    selinux::label_keys(label).map_err(failed)?;
    let joined = join(id);
    selinux::label_keys("").map_err(failed)?;
    joined
}

fn join(id: &ContainerId) -> Result<()> {
    let failed = Error::system("cannot create a session keyring");
    let name = match CString::new(format!("_ses.{id}")) {
        Ok(name) => name,
        Err(err) => return Err(failed(err.into())),
    };
    #[allow(unsafe_code)]
    // SAFETY: the name is a C string that outlives the call; the kernel copies it.
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, name.as_ptr()) };
    if joined >= 0 {
        return Ok(());
    }
    let err = io::Error::last_os_error();
    match err.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM | libc::EDQUOT) => {
            tracing::warn!("the container stays in the caller's session keyring: {err}");
            Ok(())
        }
        _ => Err(failed(err)),
    }
}
