//! The capabilities of a process (capabilities(7); config.md, "capabilities").
//!
//! libcontainer sets one set after the other, each with a call of its own, and leaves
//! alone what the spec does not name. Here the three sets of a process are set in one
//! call, as the kernel means it, and what is not named is empty.

use std::io;

use libcontainer::capabilities::CapabilityExt as _;
use nix::errno::Errno;
use oci_spec::runtime::{Capabilities, LinuxCapabilities};

use super::ProcessError;
use super::error::errno_text;

/// `CAP_SETPCAP`, as a bit.
const SETPCAP: u64 = 1 << 8;
/// `CAP_SYS_ADMIN`, as a bit.
pub const SYS_ADMIN: u64 = 1 << 21;

/// `_LINUX_CAPABILITY_VERSION_3`.
const VERSION_3: u32 = 0x2008_0522;

/// Sets of capabilities, a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CapabilitySets {
    /// What no program can gain beyond.
    pub bounding: u64,
    /// What the kernel looks at.
    pub effective: u64,
    /// What may become effective.
    pub permitted: u64,
    /// What a program with file capabilities may keep.
    pub inheritable: u64,
    /// What a program without them keeps.
    pub ambient: u64,
}

impl From<&LinuxCapabilities> for CapabilitySets {
    fn from(sets: &LinuxCapabilities) -> Self {
        let bits = |set: &Option<Capabilities>| {
            let names = set.iter().flatten();
            names.fold(0, |bits, name| bits | 1 << name.to_cap().index())
        };
        Self {
            bounding: bits(sets.bounding()),
            effective: bits(sets.effective()),
            permitted: bits(sets.permitted()),
            inheritable: bits(sets.inheritable()),
            ambient: bits(sets.ambient()),
        }
    }
}

/// Whether this process has one of these capabilities, a bit each, in its user namespace.
///
/// # Errors
/// Where the kernel does not tell.
pub fn is_effective(capabilities: u64) -> io::Result<bool> {
    Ok(current()?.effective & capabilities != 0)
}

impl CapabilitySets {
    /// Drops from the bounding set what is not in `self`: while the process can, that is
    /// before it changes its user.
    ///
    /// # Errors
    /// Where the kernel refuses. A process without `CAP_SETPCAP` leaves the set as it is,
    /// as with runc.
    pub fn limit_bounding(&self) -> Result<(), ProcessError> {
        let own = current().map_err(failed("bounding set"))?;
        if own.effective & SETPCAP == 0 {
            return Ok(());
        }
        for capability in 0..u64::BITS {
            match prctl(libc::PR_CAPBSET_READ, capability.into(), 0) {
                Ok(1) if self.bounding & (1 << capability) == 0 => {
                    prctl(libc::PR_CAPBSET_DROP, capability.into(), 0)
                        .map_err(failed("bounding set"))?;
                }
                Ok(_) => {}
                // The last one that this kernel knows was before.
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Gives the process these sets; `also` stays permitted beside them, where it is,
    /// for a last thing to do. Ambient capabilities that cannot be raised are left out,
    /// as with runc.
    ///
    /// # Errors
    /// Where the kernel refuses: the runtime itself has not what the spec names.
    pub fn apply(&self, also: u64) -> Result<(), ProcessError> {
        let own = current().map_err(failed("caps"))?;
        set(&Data {
            effective: self.effective,
            permitted: self.permitted | (also & own.permitted),
            inheritable: self.inheritable,
        })
        .map_err(failed("caps"))?;
        // EINVAL from a kernel without ambient capabilities.
        let clear = libc::PR_CAP_AMBIENT_CLEAR_ALL as u64;
        match prctl(libc::PR_CAP_AMBIENT, clear, 0) {
            Ok(_) | Err(Errno::EINVAL) => {}
            Err(errno) => return Err(failed("ambient caps")(errno)),
        }
        let raise = libc::PR_CAP_AMBIENT_RAISE as u64;
        for capability in (0..u64::BITS).filter(|c| self.ambient & (1 << c) != 0) {
            if let Err(errno) = prctl(libc::PR_CAP_AMBIENT, raise, capability.into()) {
                let name = name(capability);
                tracing::warn!(
                    "can't raise ambient capability {name}: {}",
                    errno_text(errno)
                );
            }
        }
        Ok(())
    }

    /// Makes `also`, which [`Self::apply`] left permitted, effective.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn raise(&self, also: u64) -> Result<(), ProcessError> {
        let own = current().map_err(failed("caps"))?;
        let effective = own.effective | (also & own.permitted);
        set(&Data { effective, ..own }).map_err(failed("caps"))
    }

    /// Drops `also` for good, where the sets do not have it of their own.
    ///
    /// # Errors
    /// Where the kernel, or a filter, refuses.
    pub fn settle(&self, also: u64) -> Result<(), ProcessError> {
        if also & !(self.permitted & self.effective) == 0 {
            return Ok(());
        }
        set(&Data {
            effective: self.effective,
            permitted: self.permitted,
            inheritable: self.inheritable,
        })
        .map_err(failed("caps"))
    }
}

/// The name of a capability, `CAP_CHOWN`; its number where it has none.
fn name(capability: u32) -> String {
    let named = caps::all()
        .into_iter()
        .find(|c| u32::from(c.index()) == capability);
    named.map_or_else(|| capability.to_string(), |c| c.to_string())
}

fn failed(what: &str) -> impl FnOnce(Errno) -> ProcessError {
    ProcessError::system(format!("unable to apply {what}"))
}

/// The sets of capset(2).
#[derive(Clone, Copy, Debug)]
struct Data {
    effective: u64,
    permitted: u64,
    inheritable: u64,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

/// `struct __user_cap_data_struct`: of the low 32 capabilities, then of the high ones.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// For the sets of this thread. The kernel writes to it where it knows another version.
fn own() -> Header {
    Header {
        version: VERSION_3,
        pid: 0,
    }
}

fn current() -> nix::Result<Data> {
    let (mut header, mut halves) = (own(), [Half::default(); 2]);
    #[allow(unsafe_code)]
    // SAFETY: the header and the two halves are what version 3 reads and writes.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) };
    Errno::result(result)?;
    let join =
        |part: fn(&Half) -> u32| u64::from(part(&halves[1])) << 32 | u64::from(part(&halves[0]));
    Ok(Data {
        effective: join(|half| half.effective),
        permitted: join(|half| half.permitted),
        inheritable: join(|half| half.inheritable),
    })
}

fn set(data: &Data) -> nix::Result<()> {
    let half = |shift: u32| Half {
        effective: (data.effective >> shift) as u32,
        permitted: (data.permitted >> shift) as u32,
        inheritable: (data.inheritable >> shift) as u32,
    };
    let (mut header, halves) = (own(), [half(0), half(32)]);
    #[allow(unsafe_code)]
    // SAFETY: the header and the two halves are what version 3 reads.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) };
    Errno::result(result).map(drop)
}

fn prctl(option: libc::c_int, first: u64, second: u64) -> nix::Result<i32> {
    #[allow(unsafe_code)]
    // SAFETY: the options used here take numbers, no pointers.
    let result = unsafe { libc::prctl(option, first, second, 0_u64, 0_u64) };
    Errno::result(result)
}

/// Sets or clears `PR_SET_KEEPCAPS`: whether a process that stops to be root keeps what
/// is permitted.
///
/// # Errors
/// As prctl(2).
pub fn keep_over_setuid(keep: bool) -> io::Result<()> {
    prctl(libc::PR_SET_KEEPCAPS, keep.into(), 0)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_bits_and_a_set_that_is_not_named_is_empty() {
        let sets: LinuxCapabilities = serde_json::from_value(json!({
            "bounding": ["CAP_CHOWN", "CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE"],
            "effective": ["CAP_SETPCAP"],
        }))
        .unwrap();
        let sets = CapabilitySets::from(&sets);
        assert_eq!(sets.bounding, 1 | SYS_ADMIN | 1 << 40);
        assert_eq!(sets.effective, SETPCAP);
        assert_eq!((sets.permitted, sets.inheritable, sets.ambient), (0, 0, 0));
    }

    #[test]
    fn what_is_set_is_what_is_read() {
        // In a thread of its own: capabilities are a thread's.
        std::thread::spawn(|| {
            let own = current().unwrap();
            let none = CapabilitySets::default();
            none.apply(SYS_ADMIN).unwrap();
            let kept = own.permitted & SYS_ADMIN;
            let now = current().unwrap();
            assert_eq!((now.effective, now.permitted), (0, kept));
            none.raise(SYS_ADMIN).unwrap();
            assert_eq!(current().unwrap().effective, kept);
            none.settle(SYS_ADMIN).unwrap();
            let now = current().unwrap();
            assert_eq!((now.effective, now.permitted), (0, 0));
        })
        .join()
        .unwrap();
    }
}
