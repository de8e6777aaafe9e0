//! Containers of users who are not root, on cgroup v2 alone.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use integration::host::Cgroups;

#[path = "rootless/containers.rs"]
mod containers;
#[path = "rootless/fixture.rs"]
mod fixture;
#[path = "rootless/podman.rs"]
mod podman;
#[path = "rootless/systemd.rs"]
mod systemd;

const CGROUPS: Cgroups = Cgroups::V2;
