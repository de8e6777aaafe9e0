//! What is said where something fails, on cgroup v1.

use integration::host::Cgroups;

#[path = "errors/messages.rs"]
mod messages;

const CGROUPS: Cgroups = Cgroups::V1;
