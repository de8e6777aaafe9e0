//! Docker: `daemon.json`, and beside it the record of what it was before.

pub mod record;
pub mod rules;
mod swarm;

use std::ffi::OsString;
use std::path::Path;

use record::{Record, State};
pub use swarm::resource;

use super::{Change, Plan, Request, Restart};
use crate::config_file::{ConfigError, ConfigFile, EditError, Position};

/// Where dockerd looks for its configuration.
pub const CONFIG: &str = "/etc/docker/daemon.json";

const UNIT: &str = "docker";

/// What `request` changes in a `daemon.json`.
///
/// # Errors
/// As [`rules::apply`], and where a file cannot be read.
pub fn plan(file: ConfigFile, request: &Request) -> Result<Plan, ConfigError> {
    // The whole text is in it, of a file that may have been more private then or be it now.
    let record_file = file.beside(&record_name(file.path()))?.private_like(&file);
    let before = State {
        text: file.text().map(str::to_owned),
        record: record_file
            .text()
            .map(|text| parse_record(record_file.path(), text))
            .transpose()?,
    };
    let after =
        rules::apply(&before, request).map_err(|error| ConfigError::content(file.path(), error))?;
    let restart = if rules::needs_restart(&before, &after) {
        Restart::Unit(UNIT)
    } else {
        Restart::Reload {
            unit: UNIT,
            pid_file: rules::pid_file(file.text().unwrap_or_default()),
        }
    };
    let mut notes = swarm::notes(after.text.as_deref().unwrap_or_default(), request);
    notes.extend(
        rules::lost_default(&before, &after)
            .map(|name| super::lost_default("default-runtime", &name)),
    );
    let record = after.record.as_ref().map(print_record);
    let kept = record.is_some();
    let mut changes = vec![
        Change::new(file, after.text),
        Change::new(record_file, record).hidden(),
    ];
    if kept {
        // A crash in between then leaves a record of an edit that was not made, which the
        // next command sees, and never an edit without a record.
        changes.reverse();
    }
    Ok(Plan::new(changes, restart, notes))
}

/// `.daemon.json.amd-ctk` for `/etc/docker/daemon.json`: beside the file, it moves with it and
/// is there in every mount namespace that has the file.
fn record_name(config: &Path) -> OsString {
    let mut name = OsString::from(".");
    name.push(config.file_name().unwrap_or_default());
    name.push(".amd-ctk");
    name
}

fn parse_record(path: &Path, text: &str) -> Result<Record, ConfigError> {
    serde_json::from_str(text).map_err(|error| {
        let position = Position {
            line: error.line(),
            column: error.column(),
        };
        let error = EditError {
            at: Some(position),
            ..EditError::new("not the record of earlier edits that it should be")
        }
        .with_hint("without that file, --remove takes out what is ours and leaves the rest");
        ConfigError::content(path, error)
    })
}

fn print_record(record: &Record) -> String {
    // Strings alone: this cannot fail.
    serde_json::to_string_pretty(record).unwrap_or_default() + "\n"
}
