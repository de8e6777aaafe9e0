//! What programs on one host keep for each other between their runs.
//!
//! - [`mod@file`]: files that are there whole or not at all, whoever is killed while writing them;
//! - [`process`]: processes that are told from a stranger who got their pid.

#![cfg_attr(test, allow(missing_docs, clippy::unwrap_used))]

pub mod file;
pub mod process;

pub use file::{Replace, read_regular, write_atomically, write_pid_file};
pub use process::{Liveness, ProcessRef, pidfd_open};
