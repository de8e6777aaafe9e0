//! What is said where something fails, on cgroup v2 alone.

use integration::host::Cgroups;

#[path = "errors/messages.rs"]
mod messages;

const CGROUPS: Cgroups = Cgroups::V2;
