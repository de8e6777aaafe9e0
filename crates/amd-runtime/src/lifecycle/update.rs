//! `update`: new limits for a container that is there. Its device rules stay, and so its GPUs.

use super::limits::Limits;
use super::status::Status;
use super::{ContainerId, Runtime};
use crate::cgroup::resources::Unsupported;
use crate::cgroup::systemd::Unit;
use crate::cgroup::{Cgroup, CgroupError};
use crate::error::{Error, Result};

impl Runtime {
    /// Applies new limits to a container that has not stopped: all of them, or none.
    ///
    /// # Errors
    /// Where the container has stopped or a limit cannot be applied.
    pub fn update(&self, id: &ContainerId, limits: Limits) -> Result<()> {
        let (_dir, record, _lock) = self.load_locked(id)?;
        if Status::of(&record) == Status::Stopped {
            return Err(Error::not_running(id));
        }
        let resources = limits.into_resources()?;
        let applied = Cgroup::of(&record).set_limits(&resources, Unsupported::Refuse)?;
        // systemd would write its own again, at the next reload.
        if let Some(unit) = Unit::of(&record.cgroups_path).filter(|_| record.systemd_cgroup)
            && let Err(err) = unit.set_limits(&resources)
        {
            applied.take_back();
            return Err(CgroupError::from(err).into());
        }
        Ok(())
    }
}
