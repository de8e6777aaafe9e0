//! AMD hosts made of files: from a [short description](Host), the `/sys` that its kernel would show
//! and the device nodes that its udev would make.
//!
//! Written from the kernel's documentation and source (drivers/gpu/drm/amd, drivers/gpu/drm/drm_drv.c);
//! a new machine is a few lines in `presets.rs`.

mod board;
mod description;
pub mod init;
mod layout;
mod machine;
mod model;
mod mounts;
mod namespace;
mod nodes;
mod other_gpu;
mod presets;
mod properties;
mod tree;

pub use board::{Binding, Board, ComputeMode, Uuids};
pub use description::{AnyGpu, Host, MinorLimit, XcpName};
pub use model::Model;
pub use mounts::cover_sys;
pub use namespace::{Cgroups, SimulatedHost};
pub use nodes::Node;
pub use other_gpu::OtherGpu;
pub use presets::PRESETS;
