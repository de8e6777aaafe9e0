//! What the integration tests stand on: AMD hosts that are simulated on machines without an AMD GPU.

pub mod binary;
pub mod bundle;
pub mod capabilities;
pub mod cgroup;
pub mod configure;
pub mod crash;
pub mod docker;
pub mod host;
pub mod kill_points;
pub mod measure;
pub mod mi300x;
pub mod outcome;
pub mod probe;
pub mod require;
pub mod rootfs;
pub mod runtime;
pub mod spec;
pub mod strace;
pub mod traces;
