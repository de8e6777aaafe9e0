//! The root filesystem of a container: what runc makes of a spec, and no other.

#[path = "mounts/bind.rs"]
mod bind;
#[path = "mounts/cgroups.rs"]
mod cgroups;
#[path = "mounts/devices.rs"]
mod devices;
#[path = "mounts/fixture.rs"]
mod fixture;
#[path = "mounts/proc.rs"]
mod proc;
#[path = "mounts/propagation.rs"]
mod propagation;
#[path = "mounts/protected.rs"]
mod protected;
#[path = "mounts/targets.rs"]
mod targets;
#[path = "mounts/tmpfs.rs"]
mod tmpfs;
#[path = "mounts/user_namespace.rs"]
mod user_namespace;
