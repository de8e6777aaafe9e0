//! `pause` and `resume`.

use super::status::Status;
use super::{ContainerId, Runtime};
use crate::cgroup::Cgroup;
use crate::error::{Error, Result};
use crate::state::LockKind;

impl Runtime {
    /// Freezes all processes of a running or created container.
    ///
    /// # Errors
    /// Where it is in another state, or the freezer fails.
    pub fn pause(&self, id: &ContainerId) -> Result<()> {
        let (_, record, _lock) = self.load_locked(id)?;
        match Status::of(&record) {
            Status::Running | Status::Created => Ok(Cgroup::of(&record).freeze(true)?),
            status => Err(Error::Status(format!(
                "container {:?}: container not running or created: {status}",
                id.as_str()
            ))),
        }
    }

    /// Thaws a paused container.
    ///
    /// # Errors
    /// Where it is not paused, or the freezer fails.
    pub fn resume(&self, id: &ContainerId) -> Result<()> {
        // As an exec: one that was told to ignore that the container is paused waits for this.
        let (_, record, _lock) = self.load_with_lock(id, LockKind::Shared)?;
        match Status::of(&record) {
            Status::Paused => Ok(Cgroup::of(&record).freeze(false)?),
            _ => Err(Error::Status(format!(
                "container {:?}: container not paused",
                id.as_str()
            ))),
        }
    }
}
