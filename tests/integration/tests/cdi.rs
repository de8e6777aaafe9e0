//! CDI: the specs that `amd-ctk` writes, and what containers get by them.

#[path = "cdi/containers.rs"]
mod containers;
#[path = "cdi/fixture.rs"]
mod fixture;
#[path = "cdi/golden.rs"]
mod golden;
#[path = "cdi/hidden.rs"]
mod hidden;
#[path = "cdi/spec_file.rs"]
mod spec_file;
