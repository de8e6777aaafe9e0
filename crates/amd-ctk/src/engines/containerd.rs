//! containerd: the CRI plugin's runtimes in config.toml, or in a drop-in that it imports.
//!
//! Follows containerd's docs/cri/config.md, PLUGINS.md, and containerd-config.toml(5).

mod base;
mod version;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml_edit::{Item, Table, value};

pub use version::{DropIn, version};
use version::{MERGED_FROM, plugin};

use super::drop_ins::{drop_ins, names, without_own};
use super::toml_copy::copy;
use super::toml_files::{Edited, Layout, header, refuse_entry, without_runtime};
use super::{Change, Plan, Request, Restart};
use crate::config_file::toml::{Document, has_block};
use crate::config_file::{ConfigError, ConfigFile, EditError};

/// Where containerd looks for its configuration.
pub const CONFIG: &str = "/etc/containerd/config.toml";

/// Our file where the configuration imports drop-ins.
pub const DROP_IN: &str = "/etc/containerd/conf.d/99-amd.toml";

/// The shim that runs OCI runtimes like ours.
const RUNC_SHIM: &str = "io.containerd.runc.v2";

/// What `request` changes: in a drop-in where containerd merges those, else in `main`, which
/// is config.toml or a file that the user named.
///
/// # Errors
/// As [`apply`] and [`is_imported`], and where a file cannot be read.
pub fn plan(
    root: &Path,
    main: ConfigFile,
    drop_in: DropIn,
    request: &Request,
) -> Result<Plan, ConfigError> {
    let content = |file: &ConfigFile, error| ConfigError::content(file.path(), error);
    let mut notes = Vec::new();
    let mut changes = Vec::new();
    let text = main.text().map(str::to_owned);
    let configures = matches!(request, Request::Configure(_));
    if let (Some(text), true) = (&text, configures)
        && cri_is_disabled(text).map_err(|error| content(&main, error))?
    {
        notes.push(format!(
            "{} disables the CRI plugin (disabled_plugins), so Kubernetes does not see this runtime",
            main.path().display()
        ));
    }
    if drop_in != DropIn::Never {
        let own = ConfigFile::read_below(root, Path::new(DROP_IN))?;
        let wanted = match (&text, configures) {
            (Some(text), true) => {
                is_imported(text).map_err(|error| content(&main, error))?
                    && drop_in.is_merged(text, own.text())
            }
            (None, true) => false,
            // Also where config.toml does not import it any more.
            (_, false) => own.text().is_some(),
        };
        if wanted {
            let (change, more) = plan_drop_in(root, &main, own, request)?;
            changes.push(change);
            notes.extend(more);
        }
    }
    // An edit of config.toml from before it imported drop-ins is undone in any case.
    if !configures || changes.is_empty() {
        let planned = plan_main(root, main, request)?;
        let (change, more) = planned.unzip();
        changes.extend(change);
        notes.extend(more.into_iter().flatten());
    }
    Ok(Plan::new(changes, Restart::Unit("containerd"), notes))
}

/// A change and what the user should know of it.
type Planned = (Change, Vec<String>);

/// None where there is nothing of ours to undo, in a configuration that we do not edit.
fn plan_main(
    root: &Path,
    main: ConfigFile,
    request: &Request,
) -> Result<Option<Planned>, ConfigError> {
    let path = main.path().to_owned();
    let content = |error| ConfigError::content(&path, error);
    let text = main.text();
    Document::parse(text.unwrap_or_default()).map_err(content)?;
    let version = match (version(text), request) {
        (Ok(version), _) => version,
        (Err(error), Request::Configure(_)) => return Err(content(error)),
        (Err(error), _) if has_block(text.unwrap_or_default(), "") => return Err(content(error)),
        (Err(_), _) => return Ok(None),
    };
    let beside = runtimes_beside(root, text.unwrap_or_default(), &path);
    let after = apply(text, None, version, &beside, request).map_err(content)?;
    Ok(Some((Change::new(main, after.text), after.notes)))
}

fn plan_drop_in(
    root: &Path,
    main: &ConfigFile,
    drop_in: ConfigFile,
    request: &Request,
) -> Result<Planned, ConfigError> {
    let content = |file: &ConfigFile, error| ConfigError::content(file.path(), error);
    // A version of its own, from the day it was made.
    let versioned = if drop_in.text().is_some() {
        &drop_in
    } else {
        main
    };
    let version = version(versioned.text()).map_err(|error| content(versioned, error))?;
    if let (Request::Configure(settings), Some(text)) = (request, main.text()) {
        refuse_other(text, version, &settings.name).map_err(|error| content(main, error))?;
    }
    let beside = runtimes_beside(root, main.text().unwrap_or_default(), drop_in.path());
    let after = apply(drop_in.text(), main.text(), version, &beside, request)
        .map_err(|error| content(&drop_in, error))?;
    Ok((Change::new(drop_in, after.text), after.notes))
}

/// The runtimes that containerd has from other files than `own`: `main`, config.toml's text,
/// says which those are.
fn runtimes_beside(root: &Path, main: &str, own: &Path) -> BTreeSet<String> {
    let imports = imports(main).unwrap_or_default();
    let base = Path::new(CONFIG).parent().unwrap_or(Path::new("/"));
    let dirs = imports
        .iter()
        .filter_map(|import| base.join(import).parent().map(Path::to_owned));
    let dirs: BTreeSet<_> = dirs
        .chain(Path::new(DROP_IN).parent().map(Path::to_owned))
        .collect();
    let mut files = vec![PathBuf::from(CONFIG)];
    for dir in dirs {
        files.extend(drop_ins(root, &dir).unwrap_or_default());
    }
    let files = without_own(root, files, own);
    (1..=3)
        .flat_map(|version| {
            names(
                root,
                &files,
                &["plugins", plugin(version), "containerd", "runtimes"],
            )
        })
        .collect()
}

/// The text of a configuration of `version` after `request`. The runtime's entry is a copy
/// of that of the default runtime, or else of runc, in `main` (the text itself where None). Other files have the runtimes `beside`.
///
/// # Errors
/// Where the text is not TOML, or has something of somebody else's in our places.
pub fn apply(
    text: Option<&str>,
    main: Option<&str>,
    version: i64,
    beside: &BTreeSet<String>,
    request: &Request,
) -> Result<Edited, EditError> {
    let plugin = plugin(version);
    let name = match request {
        Request::Configure(settings) => &settings.name,
        Request::UnsetDefault { name } | Request::Remove { name, .. } => name,
    };
    let containerd = ["plugins", plugin, "containerd"];
    let layout = Layout {
        runtime: [&containerd[..], &["runtimes", name]].concat(),
        programs: &["BinaryName"],
        default: [&containerd[..], &["default_runtime_name"]].concat(),
        brings: |name| name == "runc",
        beside,
        cdi: Some(vec!["plugins", plugin, "enable_cdi"]),
        header: header(&format!("version = {version}\n")),
    };
    let path = match request {
        Request::Configure(settings) => settings.path.as_str(),
        _ => "",
    };
    let header = layout.header.clone();
    let entry = |before: &str| entry(main.unwrap_or(before), &containerd, name, path);
    match (request, main) {
        (Request::Configure(_), None) => {
            let text = base::laid(text.unwrap_or(&header), version, &layout.runtime)?;
            layout.apply(Some(&text), request, entry)
        }
        (Request::Remove { .. }, None) => {
            let mut after = layout.apply(text, request, entry)?;
            let left = after.text.as_deref();
            let left = left.map(|left| base::taken_up(left, &layout.runtime));
            after.text = left.transpose()?.filter(|left| *left != header);
            Ok(after)
        }
        _ => layout.apply(text, request, entry),
    }
}

/// Fails where the main configuration has a runtime `name` that is not ours: a drop-in would
/// hide it.
fn refuse_other(main: &str, version: i64, name: &str) -> Result<(), EditError> {
    let path = ["plugins", plugin(version), "containerd", "runtimes", name];
    refuse_entry(&without_runtime(main, name, &path)?, &path)
}

/// Whether the configuration imports [`DROP_IN`], and is of a version that came after
/// drop-ins were merged.
///
/// # Errors
/// Where the text is not TOML, or `imports` no list.
pub fn is_imported(text: &str) -> Result<bool, EditError> {
    let document = Document::parse(text)?;
    let merged = document.get(&["version"])?.and_then(Item::as_integer) >= Some(MERGED_FROM);
    let (dir, _) = DROP_IN.rsplit_once('/').unwrap_or_default();
    let patterns = ["*.toml", "*", "99-amd.toml"].map(|pattern| format!("{dir}/{pattern}"));
    let relative = patterns
        .clone()
        .map(|path| path.replacen("/etc/containerd/", "", 1));
    Ok(imports(text)?.iter().any(|import| {
        let known = |path: &String| path == import.trim_start_matches("./");
        merged && patterns.iter().chain(&relative).any(known)
    }))
}

/// The patterns of files that the configuration imports.
fn imports(text: &str) -> Result<Vec<String>, EditError> {
    let document = Document::parse(text)?;
    let Some(item) = document.get(&["imports"])? else {
        return Ok(Vec::new());
    };
    let imports = item
        .as_array()
        .ok_or_else(|| document.error_at(item, "\"imports\" is not a list"))?;
    let patterns = imports.iter().filter_map(toml_edit::Value::as_str);
    Ok(patterns.map(str::to_owned).collect())
}

/// Whether the configuration switches off the plugin whose runtimes we configure.
fn cri_is_disabled(text: &str) -> Result<bool, EditError> {
    let document = Document::parse(text)?;
    let disabled = document
        .get(&["disabled_plugins"])?
        .and_then(Item::as_array);
    Ok(disabled.is_some_and(|plugins| {
        let mut names = plugins.iter().filter_map(toml_edit::Value::as_str);
        names.any(|name| {
            matches!(
                name,
                "cri" | "io.containerd.grpc.v1.cri" | "io.containerd.cri.v1.runtime"
            )
        })
    }))
}

fn entry(main: &str, containerd: &[&str], name: &str, path: &str) -> Result<Item, EditError> {
    let document = Document::parse(main)?;
    let at = |keys: &[&str]| document.get(&[containerd, keys].concat());
    let default = match at(&["default_runtime_name"])?.and_then(Item::as_str) {
        Some(default) if default != name => default,
        _ => "runc",
    };
    let mut entry = Table::new();
    entry.insert("runtime_type", value(RUNC_SHIM));
    for beside in [default, "runc"] {
        let kind = at(&["runtimes", beside, "runtime_type"])?.and_then(Item::as_str);
        // Another shim's options mean nothing to this one.
        if kind == Some(RUNC_SHIM)
            && let Some(table) = document.table(&[containerd, &["runtimes", beside]].concat())?
        {
            entry = copy(table, |key| {
                !matches!(key, "runtime_path" | "runtime_engine" | "runtime_root")
            });
            break;
        }
    }
    let mut options = match entry
        .remove("options")
        .as_ref()
        .and_then(Item::as_table_like)
    {
        Some(options) => copy(options, |key| key != "BinaryName"),
        None => Table::new(),
    };
    options.insert("BinaryName", value(path));
    entry.insert("options", Item::Table(options));
    Ok(Item::Table(entry))
}

#[cfg(test)]
#[path = "containerd_tests.rs"]
mod tests;
