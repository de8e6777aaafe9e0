//! The GPUs of a host as devices of the Container Device Interface (CDI), for container engines that
//! give a container its GPUs by themselves: `docker run --device amd.com/gpu=0`.
//!
//! A device is made of the same [container edits](crate::edits) that the runtime applies, so that both
//! ways give a container the same nodes. Follows the CDI specification, "CDI JSON Specification".
//!
//! Numbers of device nodes are left out of a spec. The consumer looks them up when a container
//! starts, and so a spec survives a reboot that gives `/dev/kfd` another major number.

mod generate;
mod names;
mod spec;
mod version;

pub use generate::{CdiError, Options, generate};
pub use names::{ALL, NameStrategy, is_class_name, is_device_name, is_vendor_name, without_name};
pub use spec::{Device, DeviceEdits, Node, Spec};
pub use version::{ParseVersionError, Version};
