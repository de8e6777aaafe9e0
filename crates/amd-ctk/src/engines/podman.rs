//! Podman: a drop-in of its own, as containers.conf(5) describes them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use toml_edit::{Array, Item};

use super::drop_ins::{drop_ins, names, refuse_entries, without_own};
use super::toml_files::{Edited, Layout, header};
use super::{Change, Plan, Request, Restart};
use crate::config_file::{ConfigError, ConfigFile, EditError};

/// Our drop-in.
pub const CONFIG: &str = "/etc/containers/containers.conf.d/99-amd.conf";

const MAIN: &str = "/etc/containers/containers.conf";
const DROP_INS: &str = "/etc/containers/containers.conf.d";
/// What distributions bring, which the administrator's files add to.
const PACKAGED: &str = "/usr/share/containers/containers.conf";

/// The runtimes of podman's own default configuration.
const BUILT_IN: [&str; 10] = [
    "crun",
    "crun-vm",
    "crun-wasm",
    "kata",
    "krun",
    "ocijail",
    "runc",
    "runj",
    "runsc",
    "youki",
];

/// What `request` changes in the drop-in `file`.
///
/// # Errors
/// As [`apply`], where a file cannot be read, and where another has a runtime of that name.
pub fn plan(root: &Path, file: ConfigFile, request: &Request) -> Result<Plan, ConfigError> {
    let mut others = others(root, file.path())?;
    if let Request::Configure(settings) = request {
        refuse_entries(root, &others, &["engine", "runtimes", &settings.name])?;
    }
    others.push(PathBuf::from(PACKAGED));
    let beside = names(root, &others, &["engine", "runtimes"]);
    let after = apply(file.text(), &beside, request)
        .map_err(|error| ConfigError::content(file.path(), error))?;
    let mut notes = after.notes;
    if matches!(request, Request::Configure(settings) if settings.cdi) {
        notes.push("podman has no switch for CDI: it is on from 4.1".to_owned());
    }
    Ok(Plan::new(
        vec![Change::new(file, after.text)],
        Restart::None,
        notes,
    ))
}

/// The text of our drop-in after `request`. The other files have the runtimes `beside`.
///
/// # Errors
/// Where the text is not TOML, or has something of somebody else's in our places.
pub fn apply(
    text: Option<&str>,
    beside: &BTreeSet<String>,
    request: &Request,
) -> Result<Edited, EditError> {
    let (name, path) = match request {
        Request::Configure(settings) => (&settings.name, settings.path.as_str()),
        Request::UnsetDefault { name } | Request::Remove { name, .. } => (name, ""),
    };
    let layout = Layout {
        runtime: vec!["engine", "runtimes", name],
        programs: &[],
        default: vec!["engine", "runtime"],
        brings: |name| BUILT_IN.contains(&name) || name.starts_with('/'),
        beside,
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
    let mut files = drop_ins(root, Path::new(DROP_INS))?;
    files.retain(|path| path.extension() == Some(OsStr::new("conf")));
    files.insert(0, PathBuf::from(MAIN));
    Ok(without_own(root, files, own))
}

#[cfg(test)]
#[path = "podman_tests.rs"]
mod tests;
