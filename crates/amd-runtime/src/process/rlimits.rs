//! The resource limits of a process (config.md, "rlimits").
//!
//! They are set twice. The process sets its own while it is root in its container: a runtime
//! without `CAP_SYS_RESOURCE` may not touch those of another user's process. The runtime sets
//! them from outside: in a user namespace the process itself may raise none. But a limit of open
//! files with which it could not get as far as its program comes right before that.

use nix::errno::Errno;
use oci_spec::runtime::{PosixRlimit, PosixRlimitType};
use procfs::process::{LimitValue, Limits, Process};

use super::ProcessError;

/// Sets those limits of this process that it may set.
///
/// # Errors
/// Names a limit that the kernel refuses for another reason than a lack of rights.
pub fn set_own_limits(limits: &[PosixRlimit]) -> Result<(), ProcessError> {
    for limit in limits.iter().filter(|limit| !is_last(limit)) {
        match set(0, limit) {
            Ok(()) | Err(Errno::EPERM) => {}
            Err(errno) => return Err(refused(limit)(errno)),
        }
    }
    Ok(())
}

/// Sets the limits of process `pid`, which has not started its program, where it has not set
/// them itself.
///
/// # Errors
/// Names the limit that the kernel refuses.
pub fn set_limits(pid: i32, limits: &[PosixRlimit]) -> Result<(), ProcessError> {
    for limit in limits.iter().filter(|limit| !is_last(limit)) {
        match set(pid, limit) {
            Ok(()) => {}
            Err(Errno::EPERM) if in_force(pid, limit) => {}
            Err(errno) => return Err(refused(limit)(errno)),
        }
    }
    Ok(())
}

/// Sets those limits of this process that are left, before it becomes its program.
///
/// # Errors
/// Names a limit that the kernel refuses.
pub fn set_last_limits(limits: &[PosixRlimit]) -> Result<(), ProcessError> {
    limits
        .iter()
        .filter(|limit| is_last(limit))
        .try_for_each(|limit| set(0, limit).map_err(refused(limit)))
}

/// How many descriptors a process may have need of on its way to its program.
const ON_THE_WAY: u64 = 64;

fn is_last(limit: &PosixRlimit) -> bool {
    limit.typ() == PosixRlimitType::RlimitNofile && limit.soft() < ON_THE_WAY
}

fn set(pid: i32, limit: &PosixRlimit) -> nix::Result<()> {
    let value = libc::rlimit64 {
        rlim_cur: limit.soft(),
        rlim_max: limit.hard(),
    };
    #[allow(unsafe_code)]
    // SAFETY: the kernel reads the structure; the old limit is not asked for.
    let result = unsafe {
        libc::prlimit64(
            pid,
            // Signed or not, as the C library has it.
            limit.typ() as _,
            &raw const value,
            std::ptr::null_mut(),
        )
    };
    Errno::result(result).map(drop)
}

/// Whether a process has the limit; `/proc/PID/limits` may be read by everybody.
fn in_force(pid: i32, limit: &PosixRlimit) -> bool {
    let Ok(limits) = Process::new(pid).and_then(|process| process.limits()) else {
        return false;
    };
    let (soft, hard) = of_type(&limits, limit.typ());
    (number(soft), number(hard)) == (limit.soft(), limit.hard())
}

fn of_type(limits: &Limits, typ: PosixRlimitType) -> (LimitValue, LimitValue) {
    use PosixRlimitType as Type;
    let limit = match typ {
        Type::RlimitCpu => limits.max_cpu_time,
        Type::RlimitFsize => limits.max_file_size,
        Type::RlimitData => limits.max_data_size,
        Type::RlimitStack => limits.max_stack_size,
        Type::RlimitCore => limits.max_core_file_size,
        Type::RlimitRss => limits.max_resident_set,
        Type::RlimitNproc => limits.max_processes,
        Type::RlimitNofile => limits.max_open_files,
        Type::RlimitMemlock => limits.max_locked_memory,
        Type::RlimitAs => limits.max_address_space,
        Type::RlimitLocks => limits.max_file_locks,
        Type::RlimitSigpending => limits.max_pending_signals,
        Type::RlimitMsgqueue => limits.max_msgqueue_size,
        Type::RlimitNice => limits.max_nice_priority,
        Type::RlimitRtprio => limits.max_realtime_priority,
        Type::RlimitRttime => limits.max_realtime_timeout,
    };
    (limit.soft_limit, limit.hard_limit)
}

fn number(value: LimitValue) -> u64 {
    match value {
        LimitValue::Unlimited => libc::RLIM64_INFINITY,
        LimitValue::Value(number) => number,
    }
}

fn refused(limit: &PosixRlimit) -> impl FnOnce(Errno) -> ProcessError {
    ProcessError::system(format!(
        "error setting rlimit {:?} (soft {}, hard {})",
        limit.typ(),
        limit.soft(),
        limit.hard()
    ))
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::PosixRlimitBuilder;

    use super::*;

    fn limit(typ: PosixRlimitType, soft: u64, hard: u64) -> PosixRlimit {
        let limit = PosixRlimitBuilder::default().typ(typ).soft(soft).hard(hard);
        limit.build().unwrap()
    }

    #[test]
    fn a_limit_in_force_is_told_from_another() {
        let own = std::process::id() as i32;
        let typ = PosixRlimitType::RlimitCore;
        let limits = Process::myself().unwrap().limits().unwrap();
        let (soft, hard) = of_type(&limits, typ);
        assert!(in_force(own, &limit(typ, number(soft), number(hard))));
        assert!(!in_force(own, &limit(typ, 12_345, 12_346)));
        assert!(!in_force(i32::MAX, &limit(typ, number(soft), number(hard))));
    }
}
