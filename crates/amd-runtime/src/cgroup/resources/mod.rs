//! The limits of a container: `linux.resources` of the OCI runtime spec (config-linux.md,
//! "Control groups"), without the device rules, which [`crate::device_cgroup`] has.
//!
//! One way for `create` and `update`: `v1` and `v2` plan for a [`Resources`] which values to write
//! in which order, with runc's rules (github.com/opencontainers/cgroups, `fs` and `fs2`);
//! `transaction` writes them, and puts the old values back where one fails.
//!
//! Why not libcgroups: on v2 it refuses `memory.swap` without a limit beside it and forgets
//! `checkBeforeUpdate`, it passes over `disableOOMKiller`, `rdma`, reserved huge pages and
//! `unified` on v1, and an update that fails leaves half of it in force.

mod plan;
mod transaction;
mod types;
mod v1;
mod v2;

use std::io;
use std::path::PathBuf;

use super::files::Dirs;
use super::{Cgroup, CgroupError};

pub use transaction::Applied;
pub use types::{
    BlockIo, Cpu, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma, Resources,
    ThrottleDevice, WeightDevice,
};

/// Why limits were not set.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// The values make no sense, or the kernel has no such limit on this kind of cgroup.
    #[error("{0}")]
    Invalid(String),
    /// The container is in no cgroup of that controller.
    #[error("cannot set {controller} limit: container could not join or create cgroup")]
    NoController {
        /// Name of the controller.
        controller: String,
    },
    /// The kernel has the controller, but not this limit of it.
    #[error("cannot set {file}: this kernel's {controller} controller has no such limit")]
    NoFile {
        /// Name of the controller.
        controller: String,
        /// The file that is not there.
        file: String,
    },
    /// The kernel refuses the value.
    #[error("failed to write {value:?} to {path:?}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// As [`LimitError::Write`], where less memory is allowed than in use.
    #[error("unable to set memory limit to {limit} (current usage: {usage}, peak usage: {peak})")]
    MemoryBusy {
        /// The limit in bytes.
        limit: String,
        /// Bytes in use.
        usage: String,
        /// Most bytes that were in use.
        peak: String,
    },
}

/// Shares of CPU time as a weight of v2.
pub(super) fn cpu_weight(shares: u64) -> u64 {
    v2::weight_of_shares(shares)
}

/// The limit of swap alone, where it follows from what is named.
pub(super) fn swap_of(memory: &Memory) -> Option<i64> {
    v2::swap_alone(memory)
}

/// What is done with a limit that this kind of cgroup has no means for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// It is an error: nobody asks for an update that changes nothing.
    Refuse,
    /// It is logged, as runc passes over it: engines write some limits, such as swappiness,
    /// in every spec.
    Warn,
}

impl Cgroup {
    /// Sets limits; those that are not named stay as they are. What is returned takes them back.
    ///
    /// # Errors
    /// See [`LimitError`]. What had been set before the failure is taken back.
    pub fn set_limits(
        &self,
        resources: &Resources,
        unsupported: Unsupported,
    ) -> Result<Applied, CgroupError> {
        let dirs = Dirs::new(self.dirs());
        let unified = self.is_unified();
        self.meet_unsupported(resources, unified, unsupported)?;
        let plan = if unified {
            v2::plan(resources, &dirs)?
        } else {
            v1::plan(resources, &dirs)?
        };
        Ok(transaction::run(&plan, &dirs)?)
    }

    fn meet_unsupported(
        &self,
        resources: &Resources,
        unified: bool,
        unsupported: Unsupported,
    ) -> Result<(), LimitError> {
        let version = if unified { "v2" } else { "v1" };
        let without = if unified {
            v2::without_meaning(resources)
        } else {
            v1::without_meaning(resources)
        };
        match (without.as_slice(), unsupported) {
            ([], _) => Ok(()),
            (fields, Unsupported::Warn) => {
                tracing::warn!(
                    "ignored, cgroup {version} has no such limit: {}",
                    fields.join(", ")
                );
                Ok(())
            }
            (fields, Unsupported::Refuse) => Err(LimitError::Invalid(format!(
                "cannot set {}: cgroup {version} has no such limit",
                fields.join(", ")
            ))),
        }
    }
}
