//! The device program of a v2 cgroup: put in place and looked for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::bpf::{self, Scope};
use super::program::compile;
use super::table::DeviceTable;

/// A program that was attached, in a form that outlives the process that did it.
///
/// The kernel keeps an attached program until its cgroup is removed. It gives out ids in sequence,
/// and the tag tells a program with other instructions under the same id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProgramRef {
    /// The kernel's id of the program (`bpftool prog show id`).
    pub program_id: u32,
    /// The kernel's hash of its instructions, 16 hexadecimal digits.
    pub tag: String,
}

/// A device program that could not be put in place or found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum V2Error {
    /// The kernel did not take the program.
    #[error("cannot load the device program{}", verifier(log))]
    Load {
        /// The verifier's words; empty where it was not the verifier that refused.
        log: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The program could not be attached to the cgroup.
    #[error("cannot attach the device program")]
    Attach(#[source] io::Error),
    /// The kernel would not say which programs there are.
    #[error("cannot list the device programs")]
    Query(#[source] io::Error),
    /// The program is not attached to the cgroup.
    #[error("device program {program_id} is not attached")]
    NotAttached {
        /// The program.
        program_id: u32,
    },
    /// The program is attached, but does not run for the processes of the cgroup.
    #[error("device program {program_id} is attached but not in effect")]
    NotEffective {
        /// The program.
        program_id: u32,
    },
}

fn verifier(log: &str) -> String {
    if log.is_empty() {
        String::new()
    } else {
        format!(" (verifier: {log})")
    }
}

impl V2Error {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        let errno = |source: &io::Error| source.raw_os_error();
        match self {
            Self::Load { source, .. } => match errno(source) {
                Some(libc::EPERM) => Some(
                    "loading device programs needs CAP_BPF or CAP_SYS_ADMIN in the initial user \
                     namespace and, before Linux 5.11, room in RLIMIT_MEMLOCK (`ulimit -l`)"
                        .to_string(),
                ),
                Some(libc::EINVAL | libc::ENOSYS) => {
                    Some("the kernel needs CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF".to_string())
                }
                _ => None,
            },
            Self::Attach(source) => match errno(source) {
                Some(libc::EPERM) => Some(
                    "attaching needs CAP_NET_ADMIN or CAP_SYS_ADMIN, and no cgroup above may hold \
                     a device program that was attached for itself alone (`bpftool cgroup tree`)"
                        .to_string(),
                ),
                Some(libc::E2BIG) => {
                    Some("the cgroup holds 64 device programs: remove it".to_string())
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// A device program in the kernel. It is gone with this, unless it is attached somewhere.
#[derive(Debug)]
pub struct Program(OwnedFd);

impl Program {
    /// Loads the program of `table`.
    ///
    /// # Errors
    /// [`V2Error::Load`].
    pub fn load(table: &DeviceTable) -> Result<Self, V2Error> {
        let loaded = bpf::load(&compile(table)).map_err(|failure| V2Error::Load {
            log: failure.log,
            source: failure.source,
        })?;
        Ok(Self(loaded))
    }
}

/// Attaches `program` to the cgroup directory `cgroup` and checks that it is in effect. Programs
/// that are attached already stay: each can only take access away.
///
/// # Errors
/// At any step. Nothing of ours is attached then.
pub fn attach(cgroup: BorrowedFd<'_>, program: &Program) -> Result<ProgramRef, V2Error> {
    let Program(program) = program;
    let (program_id, tag) = bpf::id_and_tag(program.as_fd()).map_err(V2Error::Query)?;
    let reference = ProgramRef {
        program_id,
        tag: hex(tag),
    };
    bpf::attach(cgroup, program.as_fd()).map_err(V2Error::Attach)?;
    if let Err(error) = check_in_effect(cgroup, program_id) {
        // The first error is the one to report.
        let _ = bpf::detach(cgroup, program.as_fd());
        return Err(error);
    }
    Ok(reference)
}

/// Whether a program that this process holds, so that its id is no other's, is attached and runs.
fn check_in_effect(cgroup: BorrowedFd<'_>, program_id: u32) -> Result<(), V2Error> {
    let holds = |scope| match bpf::query(cgroup, scope) {
        Ok(ids) => Ok(ids.contains(&program_id)),
        Err(error) => Err(V2Error::Query(error)),
    };
    if !holds(Scope::Attached)? {
        return Err(V2Error::NotAttached { program_id });
    }
    if !holds(Scope::Effective)? {
        return Err(V2Error::NotEffective { program_id });
    }
    Ok(())
}

fn hex(tag: [u8; 8]) -> String {
    format!("{:016x}", u64::from_be_bytes(tag))
}
