//! CDI specs on disk, ours and those of others: read, checked against the CDI
//! specification, and compared with the host.

pub mod check;
mod document;
mod files;
mod foreign;
pub mod on_host;
mod ours;
mod schema;

pub use document::{Document, OfferedDevice, OfferedNode};
pub(crate) use files::is_spec_name;
pub use files::{Found, GENERATED, SPEC_DIRS, read_dir, read_file, read_text, spec_paths};
pub use foreign::foreign;
pub use ours::check_ours;
pub use schema::{Fault, faults};
