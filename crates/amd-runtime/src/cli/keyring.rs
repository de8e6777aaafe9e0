//! A session keyring for each container: keys of the caller are not the container's.
//!
//! libcontainer has no notion of keyrings; runc joins one named `_ses.<id>` in the
//! container's init. Here the runtime's process joins it, and the init inherits it.

use amd_runtime::ContainerId;
use anyhow::{Context as _, Result};
use std::ffi::CString;

/// `KEYCTL_JOIN_SESSION_KEYRING` of keyctl(2).
const JOIN_SESSION_KEYRING: libc::c_int = 1;

/// Puts this process into the session keyring of container `id`, made if need be.
///
/// # Errors
/// Where the kernel refuses, but for a kernel without keyrings (`ENOSYS`), a seccomp
/// filter around the runtime (`EPERM`), and a full key quota (`EDQUOT`), where runc
/// goes on, too.
pub fn join_session(id: &ContainerId) -> Result<()> {
    let name = CString::new(format!("_ses.{id}")).context("invalid id")?;
    #[allow(unsafe_code)]
    // SAFETY: the name is a C string that outlives the call; the kernel copies it.
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, name.as_ptr()) };
    if joined >= 0 {
        return Ok(());
    }
    let err = std::io::Error::last_os_error();
    match err.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM | libc::EDQUOT) => {
            tracing::warn!("the container stays in the caller's session keyring: {err}");
            Ok(())
        }
        _ => Err(err).context("cannot create a session keyring (see --no-new-keyring)"),
    }
}
