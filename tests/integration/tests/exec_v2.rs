//! Processes that are executed in a container, on cgroup v2 alone.

use integration::host::Cgroups;

#[path = "exec/birth.rs"]
mod birth;
#[path = "exec/processes.rs"]
mod processes;

const CGROUPS: Cgroups = Cgroups::V2;
