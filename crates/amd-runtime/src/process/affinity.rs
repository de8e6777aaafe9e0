//! The CPUs that a process runs on: `execCPUAffinity` of config.md, and what it has of an engine.

use nix::errno::Errno;
use serde_json::Value;

use crate::id_list::IdList;
use crate::spec::SpecError;

/// The CPUs on which an executed process starts, and those on which it goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity {
    /// Before it is in its cgroup.
    pub initial: Option<IdList>,
    /// From there on.
    pub last: Option<IdList>,
}

impl Affinity {
    /// What `execCPUAffinity` of a process says.
    ///
    /// # Errors
    /// Where a list makes no sense.
    pub fn of(process: &Value) -> Result<Self, SpecError> {
        let list = |field: &str| {
            let text = process["execCPUAffinity"][field]
                .as_str()
                .unwrap_or_default();
            let parsed = IdList::parse(text).map_err(|why| {
                SpecError::Field(format!("invalid execCPUAffinity.{field} {text:?}: {why}"))
            })?;
            Ok((!parsed.is_empty()).then_some(parsed))
        };
        Ok(Self {
            initial: list("initial")?,
            last: list("final")?,
        })
    }
}

/// Lets process `pid` (0: this one) run on `cpus`, as far as its cpuset allows.
///
/// # Errors
/// As sched_setaffinity(2).
pub fn set_affinity(pid: i32, cpus: &IdList) -> nix::Result<()> {
    let words = cpus.words();
    #[allow(unsafe_code)]
    // SAFETY: the kernel reads as many bytes as the slice has.
    let result = unsafe {
        libc::syscall(
            libc::SYS_sched_setaffinity,
            pid,
            size_of_val(words),
            words.as_ptr(),
        )
    };
    Errno::result(result).map(drop)
}

/// Lets process `pid` run on all CPUs of its cpuset, whatever the engine is bound to.
pub fn reset_affinity(pid: i32) {
    warn_of(pid, set_affinity(pid, &IdList::all()));
}

/// Says that the affinity of `pid` could not be reset, where it could not.
pub(super) fn warn_of(pid: i32, reset: nix::Result<()>) {
    if let Err(errno) = reset {
        tracing::warn!(
            "resetting the CPU affinity of pid {pid} failed: {errno}; it has the runtime's"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_cpus_are_no_error_on_a_machine_that_has_fewer() {
        std::thread::spawn(|| {
            set_affinity(0, &IdList::parse("0").unwrap()).unwrap();
            set_affinity(0, &IdList::all()).unwrap();
        })
        .join()
        .unwrap();
    }
}
