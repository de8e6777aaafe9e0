//! What the runtime remembers of its containers.
//!
//! ```text
//! <root>/<id>/               mode 0700, on a tmpfs
//!   lock                     a record lock: who may change this container now; in it, who may
//!                            be killed for holding it too long
//!   at-work                  held open by a create and all that it forks, see [`AtWork`]
//!   container.json           [`Record`]: ours, written whole or not at all
//!   config.json              the effective bundle: what libcontainer reads
//!   gpus.json                its GPUs, for everybody on the host: see the crate gpu-tracker
//!   gpus.init                the same
//!   libcontainer/<id>/       libcontainer's own state; only libcontainer reads it
//! ```
//!
//! The status of a container is never stored: [`crate::Status::of`] reads it
//! from the process and the freezer.

mod at_work;
mod container;
mod error;
mod gpus;
mod lock;
mod record;
mod root;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use gpu_tracker::GrantedGpu;
pub use host_state::{
    Liveness, ProcessRef, pidfd_open, read_regular, write_atomically, write_pid_file,
};

pub use at_work::AtWork;
pub use container::ContainerDir;
pub use error::StateError;
pub use gpus::GpusOnRecord;
pub use lock::{Lock, LockError, LockKind};
pub use record::{Phase, Record};
pub use root::StateRoot;

/// How long a command waits for another one that holds the same container.
pub const LOCK_PATIENCE: Duration = Duration::from_secs(30);
