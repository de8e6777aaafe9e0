//! Checkpoint and restore by CRIU, as runc does it (its `criu_linux.go`).
//!
//! ```text
//! criu      the program: its version, and requests over the socket of `criu swrk`
//! options   what the caller can ask for, as CRIU is told of it
//! outside   what of a container is not in its images: mounts, namespaces, standard streams
//! log       what CRIU's log says of a failure
//! ```
//!
//! The commands themselves are in [`crate::lifecycle`]. A restored container gets its cgroup,
//! device rules and GPUs as a new one does; its processes, seccomp filters and all that is below
//! its root come from the images. What a process holds of a GPU is in the images only where CRIU
//! has its amdgpu plugin; without it CRIU refuses to dump a process that has `/dev/kfd` open.

pub mod criu;
mod error;
pub(crate) mod log;
pub mod options;
pub mod outside;

pub use criu::{Criu, Notice};
pub use error::CheckpointError;
pub use options::{CgroupsMode, CheckpointOptions, CriuOptions, PageServer, RestoreOptions};
