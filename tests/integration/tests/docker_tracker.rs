//! Exclusive GPUs through docker, and through Docker Swarm.

use integration::host::Cgroups;

#[path = "docker_tracker/docker.rs"]
mod docker;
#[path = "tracker/fixture.rs"]
#[allow(dead_code, reason = "shared with the tests without docker")]
mod fixture;
#[path = "docker_tracker/swarm.rs"]
mod swarm;

const CGROUPS: Cgroups = Cgroups::V1;
