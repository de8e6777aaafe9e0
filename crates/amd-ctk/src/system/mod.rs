//! Host set-up, as the ROCm guides do it by hand: who may open the device nodes, that the
//! driver is loaded, and that the CDI spec follows the GPUs. Each can be taken back.
//!
//! A [`Setup`] says what is to be there; it is made by a pure function, from texts in
//! `units/`. [`plan`] compares it with a host, [`Plan::carry_out`] changes the files, and
//! [`Plan::tell`] has the running daemons know.

pub mod cdi_refresh;
mod error;
pub mod load_module;
mod mark;
mod plan;
mod setup;
mod step;
pub mod udev_rules;

pub use error::SetupError;
pub use plan::{Direction, Plan, plan};
pub use setup::{Setup, SetupFile, SetupLink};
pub use step::{Daemon, Step};
