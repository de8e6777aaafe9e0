//! Podman: a drop-in of its own, as containers.conf(5) describes them.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use toml_edit::{Array, Item};

use super::toml_files::{Layout, drop_ins, header, refuse_entry};
use super::{Change, Plan, Request, Restart, below};
use crate::config_file::{ConfigError, ConfigFile, EditError};

/// Our drop-in.
pub const CONFIG: &str = "/etc/containers/containers.conf.d/99-amd.conf";

const MAIN: &str = "/etc/containers/containers.conf";
const DROP_INS: &str = "/etc/containers/containers.conf.d";

/// What `request` changes in the drop-in at `own`.
///
/// # Errors
/// As [`apply`], where a file cannot be read, and where another has a runtime of that name.
pub fn plan(root: &Path, own: &Path, request: &Request) -> Result<Plan, ConfigError> {
    let file = ConfigFile::read(own)?;
    if let Request::Configure(settings) = request {
        for other in others(root, own)? {
            let text = ConfigFile::read(&other)?;
            refuse_entry(
                text.text().unwrap_or_default(),
                &["engine", "runtimes", &settings.name],
            )
            .map_err(|error| ConfigError::content(&other, error))?;
        }
    }
    let after = apply(file.text(), request).map_err(|error| ConfigError::content(own, error))?;
    let notes = match request {
        Request::Configure(settings) if settings.cdi => {
            vec!["podman has no switch for CDI: it is on from 4.1".to_owned()]
        }
        _ => Vec::new(),
    };
    Ok(Plan::new(
        vec![Change::new(file, after)],
        Restart::None,
        notes,
    ))
}

/// The text of our drop-in after `request`.
///
/// # Errors
/// Where the text is not TOML, or has something of somebody else's in our places.
pub fn apply(text: Option<&str>, request: &Request) -> Result<Option<String>, EditError> {
    let (name, path) = match request {
        Request::Configure(settings) => (&settings.name, settings.path.as_str()),
        Request::UnsetDefault { name } | Request::Remove { name, .. } => (name, ""),
    };
    let layout = Layout {
        runtime: vec!["engine", "runtimes", name],
        default: vec!["engine", "runtime"],
        cdi: None,
        // With headers that are no runtime's, several runtimes have room below them.
        header: header("[engine]\n\n[engine.runtimes]"),
    };
    layout.apply(text, request, |_| {
        Ok(Item::Value(Array::from_iter([path]).into()))
    })
}

/// The administrator's other files, of those that podman reads.
fn others(root: &Path, own: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut files = drop_ins(&below(root, DROP_INS))?;
    files.retain(|path| path != own && path.extension() == Some(OsStr::new("conf")));
    files.insert(0, below(root, MAIN));
    Ok(files)
}

#[cfg(test)]
#[path = "podman_tests.rs"]
mod tests;
