//! containerd: the CRI plugin's runtimes in config.toml, or in a drop-in that it imports.
//!
//! Follows containerd's docs/cri/config.md, PLUGINS.md, and containerd-config.toml(5).

use std::path::Path;
use std::process::Command;

use toml_edit::{Item, Table, value};

use super::toml_files::{Layout, copy, header, refuse_entry, without_runtime};
use super::{Change, Plan, Request, Restart, below};
use crate::config_file::toml::{Document, has_block};
use crate::config_file::{ConfigError, ConfigFile, EditError};

/// Where containerd looks for its configuration.
pub const CONFIG: &str = "/etc/containerd/config.toml";

/// Our file where the configuration imports drop-ins.
pub const DROP_IN: &str = "/etc/containerd/conf.d/99-amd.toml";

/// The shim that runs OCI runtimes like ours.
const RUNC_SHIM: &str = "io.containerd.runc.v2";

/// What [`CONFIG`] is made with where there is none: every containerd since 1.3 reads it.
const NEW_CONFIG_VERSION: i64 = 2;

/// The first containerd that merges a plugin's section of a drop-in with the one before,
/// rather than replacing it.
const MERGES: (u32, u32) = (2, 1);

/// What `request` changes: in the file `config` if there is one, else in a drop-in where
/// containerd merges those, else in config.toml.
///
/// # Errors
/// As [`apply`] and [`is_imported`], and where a file cannot be read.
pub fn plan(root: &Path, config: Option<&Path>, request: &Request) -> Result<Plan, ConfigError> {
    let main = match config {
        Some(config) => ConfigFile::read(config)?,
        None => ConfigFile::read(&below(root, CONFIG))?,
    };
    let content = |file: &ConfigFile, error| ConfigError::content(file.path(), error);
    let mut notes = Vec::new();
    let mut changes = Vec::new();
    let text = main.text().map(str::to_owned);
    let configures = matches!(request, Request::Configure(_));
    if let (Some(text), true) = (&text, configures)
        && cri_is_disabled(text).map_err(|error| content(&main, error))?
    {
        notes.push(format!(
            "{} disables the CRI plugin (disabled_plugins), so nobody asks containerd for this runtime",
            main.path().display()
        ));
    }
    if config.is_none() {
        let drop_in = ConfigFile::read(&below(root, DROP_IN))?;
        let wanted = match (&text, configures) {
            (Some(text), true) => {
                is_imported(text).map_err(|error| content(&main, error))?
                    && containerd_version().is_none_or(|version| version >= MERGES)
            }
            (None, true) => false,
            // Also where config.toml does not import it any more.
            (_, false) => drop_in.text().is_some(),
        };
        if wanted {
            changes.push(plan_drop_in(&main, drop_in, request)?);
        }
    }
    // An edit of config.toml from before it imported drop-ins is undone in any case.
    if !configures || changes.is_empty() {
        changes.extend(plan_main(main, request)?);
    }
    Ok(Plan::new(changes, Restart::Unit("containerd"), notes))
}

/// None where there is nothing of ours to undo, in a configuration that we do not edit.
fn plan_main(main: ConfigFile, request: &Request) -> Result<Option<Change>, ConfigError> {
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
    let after = apply(text, None, version, request).map_err(content)?;
    Ok(Some(Change::new(main, after)))
}

fn plan_drop_in(
    main: &ConfigFile,
    drop_in: ConfigFile,
    request: &Request,
) -> Result<Change, ConfigError> {
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
    let after = apply(drop_in.text(), main.text(), version, request)
        .map_err(|error| content(&drop_in, error))?;
    Ok(Change::new(drop_in, after))
}

/// The text of a configuration of `version` after `request`. The runtime's entry is a copy
/// of that of the default runtime, or else of runc, in `main` (the text itself where None).
///
/// # Errors
/// Where the text is not TOML, or has something of somebody else's in our places.
pub fn apply(
    text: Option<&str>,
    main: Option<&str>,
    version: i64,
    request: &Request,
) -> Result<Option<String>, EditError> {
    let plugin = plugin(version);
    let name = match request {
        Request::Configure(settings) => &settings.name,
        Request::UnsetDefault { name } | Request::Remove { name, .. } => name,
    };
    let containerd = ["plugins", plugin, "containerd"];
    let layout = Layout {
        runtime: [&containerd[..], &["runtimes", name]].concat(),
        default: [&containerd[..], &["default_runtime_name"]].concat(),
        cdi: Some(vec!["plugins", plugin, "enable_cdi"]),
        header: header(&format!("version = {version}\n")),
    };
    let path = match request {
        Request::Configure(settings) => settings.path.as_str(),
        _ => "",
    };
    layout.apply(text, request, |before| {
        entry(main.unwrap_or(before), &containerd, name, path)
    })
}

/// Fails where the main configuration has a runtime `name` that is not ours: a drop-in would
/// hide it.
fn refuse_other(main: &str, version: i64, name: &str) -> Result<(), EditError> {
    let path = ["plugins", plugin(version), "containerd", "runtimes", name];
    refuse_entry(&without_runtime(main, name, &path)?, &path)
}

/// The configuration's version; that of a new file where there is none.
///
/// # Errors
/// Where it is one whose tables we do not know.
pub fn version(text: Option<&str>) -> Result<i64, EditError> {
    let Some(text) = text else {
        return Ok(NEW_CONFIG_VERSION);
    };
    let document = Document::parse(text)?;
    let item = document.get(&["version"])?;
    let hint = "`containerd config migrate` (2.0 and later) prints the file in a newer version";
    match (item, item.and_then(Item::as_integer)) {
        (_, Some(version @ 2..=4)) => Ok(version),
        // Nothing in it that the version could give a meaning.
        (None, _) if document.table(&[])?.is_none_or(|root| root.is_empty()) => {
            Err(EditError::new("the configuration has no version")
                .with_hint(format!("add the line: version = {NEW_CONFIG_VERSION}")))
        }
        (None, _) => Err(EditError::new(
            "the configuration has no version, which is version 1; known are 2, 3 and 4",
        )
        .with_hint(hint)),
        (Some(item), _) => {
            let found = item.to_string();
            let message = format!("version {}; known are 2, 3 and 4", found.trim());
            Err(document.error_at(item, message).with_hint(hint))
        }
    }
}

/// Whether the configuration imports [`DROP_IN`], and is of a version that came after
/// drop-ins were merged.
///
/// # Errors
/// Where the text is not TOML, or `imports` no list.
pub fn is_imported(text: &str) -> Result<bool, EditError> {
    let document = Document::parse(text)?;
    let merged = document.get(&["version"])?.and_then(Item::as_integer) >= Some(3);
    let imports = match document.get(&["imports"])? {
        None => return Ok(false),
        Some(item) => item
            .as_array()
            .ok_or_else(|| document.error_at(item, "\"imports\" is not a list"))?,
    };
    let (dir, _) = DROP_IN.rsplit_once('/').unwrap_or_default();
    let patterns = ["*.toml", "*", "99-amd.toml"].map(|pattern| format!("{dir}/{pattern}"));
    let relative = patterns
        .clone()
        .map(|path| path.replacen("/etc/containerd/", "", 1));
    Ok(merged
        && imports
            .iter()
            .filter_map(toml_edit::Value::as_str)
            .any(|import| {
                let known = |path: &String| path == import.trim_start_matches("./");
                patterns.iter().chain(&relative).any(known)
            }))
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

fn plugin(version: i64) -> &'static str {
    if version == 2 {
        "io.containerd.grpc.v1.cri"
    } else {
        "io.containerd.cri.v1.runtime"
    }
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

/// The version of the containerd in PATH, None where there is none that says so.
fn containerd_version() -> Option<(u32, u32)> {
    let output = Command::new("containerd").arg("--version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// `containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7...`
fn parse_version(line: &str) -> Option<(u32, u32)> {
    let version = line.split_whitespace().nth(2)?;
    let mut numbers = version.trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
#[path = "containerd_tests.rs"]
mod tests;
