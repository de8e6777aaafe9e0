//! An OCI runtime that gives a container the AMD GPUs it asked for, and no others.
//!
//! The library behind the binary `amd-container-runtime`; other programs can create
//! GPU containers with it:
//!
//! ```no_run
//! use amd_runtime::{ContainerId, CreateOptions, Runtime};
//!
//! # fn main() -> Result<(), amd_runtime::Error> {
//! let runtime = Runtime::new("/run/my-program");
//! let id = ContainerId::new("training-1")?;
//! runtime.create(&id, "/bundles/training".as_ref(), &CreateOptions::default())?;
//! runtime.start(&id)?;
//! # Ok(())
//! # }
//! ```
//!
//! Data flows one way, through these modules:
//! [`request`] (does the spec ask for GPUs?), the `discovery` crate (which GPUs are
//! there, which are meant), [`inject`] (their nodes, rules and groups in the spec),
//! [`spec::effective`] (the form that libcontainer builds right), [`mounts`] (the root
//! filesystem), [`lifecycle`] (build, enforce, run), [`device_cgroup`] (the device rules, in force and checked).
//! Finding the GPUs takes a while, and what does not depend on them is built meanwhile where that can be
//! ([`mounts::NodesToCome`]).

#![cfg_attr(test, allow(missing_docs))]
// They panic where nothing can be written.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod additions;
pub mod cgroup;
pub mod checkpoint;
#[cfg(feature = "cli")]
pub mod cli;
pub mod console;
pub mod device_cgroup;
pub mod error;
pub mod hooks;
pub mod id;
mod id_list;
pub mod inject;
pub mod keyring;
pub mod lifecycle;
mod mount_api;
mod mount_namespace;
pub mod mounts;
mod path_fd;
pub mod process;
pub mod reentry;
pub mod request;
pub mod rootless;
pub mod seal;
pub mod seccomp;
pub mod settings;
pub mod spec;
pub mod state;
mod verified_proc;

pub use error::{Error, Result, chain};
pub use id::ContainerId;
pub use lifecycle::{
    ContainerState, CreateOptions, ExecOptions, Limits, Notice, Runtime, Stats, Status, Watch,
    parse_signal,
};
pub use settings::Settings;
