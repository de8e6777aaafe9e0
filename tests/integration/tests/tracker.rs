//! The GPU tracker: exclusive GPUs, and who has which GPU, whatever is killed or lost.

use integration::host::Cgroups;

#[path = "tracker/commands.rs"]
mod commands;
#[path = "tracker/exclusive.rs"]
mod exclusive;
#[path = "tracker/fixture.rs"]
mod fixture;
#[path = "tracker/go_toolkit.rs"]
mod go_toolkit;
#[path = "tracker/killed.rs"]
mod killed;
#[path = "tracker/lost.rs"]
mod lost;
#[path = "tracker/races.rs"]
mod races;

const CGROUPS: Cgroups = Cgroups::V1;
