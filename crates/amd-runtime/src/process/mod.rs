//! The processes of a container: its init and those of `exec`.
//!
//! Both go the same way. A [`Plan`] holds what the spec says, checked before anything is
//! built. [`Plan::settle`] makes a process what it says, once it is in the namespaces of
//! the container; `Settled::launch` loads the filter and starts
//! the program. How a process gets into the namespaces is libcontainer's part for the
//! [`Init`], and this module's for [`exec`].

pub(crate) mod affinity;
mod attributes;
pub mod capabilities;
mod cwd;
pub mod descriptors;
mod early_filter;
mod environment;
mod error;
pub mod exec;
mod init;
mod lookup;
pub(crate) mod passwd;
mod plan;
mod rlimits;
pub mod runc_log;
pub(crate) mod scheduling;
pub(crate) mod selinux;
mod signals;
mod socket;
mod stdio;
mod steps;
mod terminal;
mod user;

pub use early_filter::EarlyFilter;
pub use error::{ProcessError, errno_text};
pub use init::{Init, told};
pub use plan::{Plan, in_user_namespace, typed_spec};
pub use rlimits::set_limits;
pub use scheduling::{Scheduling, reset_affinity_of_init};
pub use socket::{connect, connect_to, receive, receive_all, send, send_fd, send_to};
