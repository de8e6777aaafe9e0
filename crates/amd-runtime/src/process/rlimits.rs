//! The resource limits of a process (config.md, "rlimits").

use nix::errno::Errno;
use oci_spec::runtime::PosixRlimit;

use super::ProcessError;

/// Sets the limits of process `pid`, which has not started its program. As runc, from
/// outside: the process itself may be in a user namespace in which no limit can be raised,
/// and with few descriptors left it could not get as far as its program.
///
/// # Errors
/// Names the limit that the kernel refuses.
pub fn set_limits(pid: i32, limits: &[PosixRlimit]) -> Result<(), ProcessError> {
    for limit in limits {
        let value = libc::rlimit64 {
            rlim_cur: limit.soft(),
            rlim_max: limit.hard(),
        };
        #[allow(unsafe_code)]
        // SAFETY: the kernel reads the structure; the old limit is not asked for.
        let result = unsafe {
            libc::prlimit64(
                pid,
                limit.typ() as libc::__rlimit_resource_t,
                &raw const value,
                std::ptr::null_mut(),
            )
        };
        Errno::result(result).map_err(ProcessError::system(format!(
            "error setting rlimit {:?} (soft {}, hard {})",
            limit.typ(),
            limit.soft(),
            limit.hard()
        )))?;
    }
    Ok(())
}
