//! GPU containers by command line, on cgroup v1.

use integration::host::Cgroups;

#[path = "standalone/fixture.rs"]
mod fixture;
#[path = "standalone/gpus.rs"]
mod gpus;
#[path = "standalone/leftovers.rs"]
mod leftovers;
#[path = "standalone/lifecycle.rs"]
mod lifecycle;
#[path = "standalone/places.rs"]
mod places;
#[path = "standalone/signals.rs"]
mod signals;

const CGROUPS: Cgroups = Cgroups::V1;
