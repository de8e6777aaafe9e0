//! What goes wrong with AMD's Go toolkit, and does not here: a test for each of its faults that
//! was seen, for whoever moves from the one to the other.
//!
//! Commands and outputs of the Go toolkit stay; docs/migration.md says what is new. The faults of
//! its GPU tracker have tests beside the tracker's own.

#[path = "migration/arguments.rs"]
mod arguments;
#[path = "migration/bundles.rs"]
mod bundles;
#[path = "migration/cdi.rs"]
mod cdi;
#[path = "migration/diagnosis.rs"]
mod diagnosis;
#[path = "migration/files.rs"]
mod files;
#[path = "migration/fixture.rs"]
mod fixture;
#[path = "migration/requests.rs"]
mod requests;
