//! The GPU tracker on cgroup v2 alone, where a container's GPUs are found while it is built.

use integration::host::Cgroups;

#[path = "tracker/exclusive.rs"]
mod exclusive;
#[path = "tracker/fixture.rs"]
#[allow(dead_code, reason = "shared with all tests of the tracker")]
mod fixture;
#[path = "tracker/killed.rs"]
mod killed;
#[path = "tracker/races.rs"]
mod races;

const CGROUPS: Cgroups = Cgroups::V2;
