//! GPU containers through docker, on cgroup v1.

use integration::host::Cgroups;

#[path = "docker/commands.rs"]
mod commands;
#[path = "docker/fixture.rs"]
mod fixture;
#[path = "docker/gpus.rs"]
mod gpus;

const CGROUPS: Cgroups = Cgroups::V1;
