//! Configuration files of others: read, edited in memory so that every byte that is not
//! ours stays, and written whole or not at all.
//!
//! [`json`] and [`toml`] are pure edits, text to text. [`ConfigFile`] is the file they
//! come from and go to.

mod attributes;
mod change;
mod diff;
mod error;
mod file;
mod host_path;
pub mod json;
mod json_style;
mod lock;
pub mod toml;
mod toml_block;
mod toml_document;
mod toml_meaning;
mod toml_merge;

pub use change::Change;
pub use diff::unified_diff;
pub use error::{ConfigError, EditError, Position};
pub use file::ConfigFile;
pub use host_path::resolve;
pub use lock::lock;
