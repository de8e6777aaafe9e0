//! Who has which GPU now.

use crate::{ExclusiveGpu, GrantedGpu, Reservation, Tracker, TrackerError, Unreadable, scan};

/// A GPU of the host and the containers that can use it.
#[derive(Clone, Debug)]
pub struct GpuStatus {
    /// The GPU, as it is called now.
    pub gpu: GrantedGpu,
    /// Whether it is for one container at a time.
    pub exclusive: bool,
    /// The containers, the oldest first.
    pub containers: Vec<Reservation>,
}

/// What the tracker knows of a host.
#[derive(Clone, Debug)]
pub struct Status {
    /// Whether the tracker is on.
    pub enabled: bool,
    /// The GPUs, in the order in which they were given.
    pub gpus: Vec<GpuStatus>,
    /// Containers that have a GPU which is none of these: its board is gone, or has fewer
    /// partitions since.
    pub elsewhere: Vec<Reservation>,
    /// Settings that are for none of these GPUs, and so void.
    pub void: Vec<ExclusiveGpu>,
    /// Files that should say which GPUs a container has and do not.
    pub unreadable: Vec<Unreadable>,
}

impl Tracker {
    /// Who has which of `gpus`, those of the host. Reads the containers' own files, takes no
    /// lock and changes nothing.
    ///
    /// # Errors
    /// [`TrackerError::Settings`] where it cannot be known what is exclusive.
    pub fn status(&self, gpus: &[GrantedGpu]) -> Result<Status, TrackerError> {
        let settings = self.load_settings()?.settings;
        let found = scan::scan(&self.files);
        let having = |gpu: &GrantedGpu| {
            let has = |container: &&Reservation| {
                container.gpus.iter().any(|own| own.slot() == gpu.slot())
            };
            found.alive.iter().filter(has).cloned().collect()
        };
        let is_here = |own: &GrantedGpu| gpus.iter().any(|gpu| gpu.slot() == own.slot());
        let elsewhere = |container: &&Reservation| !container.gpus.iter().all(is_here);
        let is_void = |entry: &&ExclusiveGpu| !gpus.iter().any(|gpu| entry.means(gpu));
        Ok(Status {
            enabled: settings.enabled,
            gpus: gpus
                .iter()
                .map(|gpu| GpuStatus {
                    gpu: gpu.clone(),
                    exclusive: settings.is_exclusive(gpu),
                    containers: having(gpu),
                })
                .collect(),
            elsewhere: found.alive.iter().filter(elsewhere).cloned().collect(),
            void: settings.exclusive.iter().filter(is_void).cloned().collect(),
            unreadable: found.unreadable,
        })
    }
}
