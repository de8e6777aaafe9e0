//! Processes that are executed in a container.

use integration::host::Cgroups;

#[path = "exec/processes.rs"]
mod processes;

const CGROUPS: Cgroups = Cgroups::V1;
