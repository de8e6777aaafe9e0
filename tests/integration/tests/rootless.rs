//! Containers of users who are not root, and of root in a user namespace.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use integration::host::Cgroups;

#[path = "rootless/containers.rs"]
mod containers;
#[path = "rootless/fixture.rs"]
mod fixture;
#[path = "rootless/podman.rs"]
mod podman;

const CGROUPS: Cgroups = Cgroups::V1;
