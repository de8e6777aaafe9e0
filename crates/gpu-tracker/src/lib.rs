//! Which container uses which AMD GPU, and which GPUs are for one container at a time.
//!
//! No daemon and no hook: what is true is read from files that belong to the containers, and
//! from whether their processes live. A process that is gone holds nothing, however it went.
//!
//! ```text
//! <state root>/<id>/gpus.json    a container's GPUs: its reservation, which the runtime writes
//!                                for every container with GPUs, be the tracker on or off
//! <state root>/<id>/gpus.init    a link that names the container's init, once it is there
//! /run/amd-container-toolkit/roots/
//!                                a link to each state root that has or had such containers
//! /var/lib/amd-container-toolkit/gpu-tracker.json
//!                                the settings: whether the tracker is on, the exclusive GPUs
//! /run/amd-gpu-tracker/          only where the tracker is on:
//!   lock                         flock(2), for as long as a reservation is taken
//!   exclusive.json               who has exclusive GPUs: an index, made anew from the
//!                                reservations where it is missing or older than the settings
//! ```
//!
//! The runtime calls [`Tracker::reserve`]; `amd-ctk gpu-tracker` is the rest.
//!
//! # Why two containers never hold one exclusive GPU
//!
//! With the tracker on, a reservation is checked and written under the lock. With the tracker
//! off it is written without, and the settings are read once more *after* that: a `create` that
//! still finds the tracker off has written its reservation before the tracker was enabled, so
//! that whoever makes the index later finds it; one that finds it on asks again, under the lock.

#![cfg_attr(test, allow(missing_docs, clippy::unwrap_used))]

mod admin;
mod error;
mod files;
mod gpu;
mod handover;
mod holders;
mod legacy;
mod lock;
mod reservation;
mod roots;
mod scan;
mod settings;
mod status;
mod tracker;

pub use admin::{Access, Change, Enabled, Refused, Released, Reset};
pub use error::{Conflict, TrackerError};
pub use files::Files;
pub use gpu::{GrantedGpu, Slot};
pub use legacy::{Imported, LEGACY_FILE};
pub use reservation::{RESERVATION_FILE, Reservation};
pub use scan::{Found, Unreadable};
pub use settings::{ExclusiveGpu, Settings};
pub use status::{GpuStatus, Status};
pub use tracker::Tracker;
