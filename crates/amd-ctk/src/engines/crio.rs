//! CRI-O: a drop-in of its own, as crio.conf.d(5) describes them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use toml_edit::{Item, Table, value};

use super::drop_ins::{drop_ins, refuse_entries, without_own};
use super::toml_copy::copy;
use super::toml_files::{Edited, Layout, header};
use super::{Change, Plan, Request, Restart};
use crate::config_file::toml::Document;
use crate::config_file::{ConfigError, ConfigFile, EditError};

/// Our drop-in.
pub const CONFIG: &str = "/etc/crio/crio.conf.d/99-amd.conf";

const MAIN: &str = "/etc/crio/crio.conf";
const DROP_INS: &str = "/etc/crio/crio.conf.d";

/// Keys of an entry that say which program runs, and so are not another's to have.
const PROGRAM_KEYS: [&str; 6] = [
    "inherit_default_runtime",
    "platform_runtime_paths",
    "privileged_without_host_devices",
    "runtime_config_path",
    "runtime_path",
    "runtime_type",
];

/// What `request` changes in the drop-in `file`. The settings of the default runtime
/// are read from the other files on the host below `root`.
///
/// # Errors
/// As [`apply`], where a file cannot be read, and where another has a runtime of that name.
pub fn plan(root: &Path, file: ConfigFile, request: &Request) -> Result<Plan, ConfigError> {
    let others = others(root, file.path())?;
    let mut beside = Beside::default();
    let configures = matches!(request, Request::Configure(_));
    if let Request::Configure(settings) = request {
        let entry = ["crio", "runtime", "runtimes", &settings.name];
        refuse_entries(root, &others, &entry)?;
    }
    for path in &others {
        let read = ConfigFile::read_below(root, path).and_then(|other| {
            beside
                .read(other.text().unwrap_or_default())
                .map_err(|error| ConfigError::content(other.path(), error))
        });
        // Of no account where ours is taken out.
        if configures {
            read?;
        }
    }
    let after = apply(file.text(), &beside, request)
        .map_err(|error| ConfigError::content(file.path(), error))?;
    let mut notes = after.notes;
    if matches!(request, Request::Configure(settings) if settings.cdi) {
        notes.push("CRI-O has no switch for CDI: it is on from 1.23".to_owned());
    }
    Ok(Plan::new(
        vec![Change::new(file, after.text)],
        Restart::Unit("crio"),
        notes,
    ))
}

/// What the files beside ours say of runtimes.
#[derive(Debug, Default)]
pub struct Beside {
    default: Option<String>,
    /// By name, as the files have them one after the other; a later file's keys count.
    runtimes: Table,
}

impl Beside {
    /// Takes in the next file, in the order in which CRI-O reads them.
    ///
    /// # Errors
    /// Where the text is not TOML, or its runtimes are no tables.
    pub fn read(&mut self, text: &str) -> Result<(), EditError> {
        let document = Document::parse(text)?;
        if let Some(default) = document.string(&["crio", "runtime", "default_runtime"])? {
            self.default = Some(default.to_owned());
        }
        if let Some(runtimes) = document.table(&["crio", "runtime", "runtimes"])? {
            for (name, item) in copy(runtimes, |_| true) {
                self.runtimes.insert(&name, item);
            }
        }
        Ok(())
    }

    /// The default runtime's entry, without what names its program. Empty where it is the
    /// one built in, or no OCI runtime.
    fn default_entry(&self, name: &str) -> Table {
        let known = ["crun", "runc"].into_iter();
        let entry = self
            .default
            .as_deref()
            .into_iter()
            .chain(known)
            .filter(|default| *default != name)
            .find_map(|default| self.runtimes.get(default)?.as_table_like());
        let kind = entry.and_then(|entry| entry.get("runtime_type")?.as_str());
        match (entry, kind) {
            (Some(entry), None | Some("" | "oci")) => {
                copy(entry, |key| !PROGRAM_KEYS.contains(&key))
            }
            _ => Table::new(),
        }
    }
}

/// The text of our drop-in after `request`.
///
/// # Errors
/// Where the text is not TOML, or has something of somebody else's in our places.
pub fn apply(text: Option<&str>, beside: &Beside, request: &Request) -> Result<Edited, EditError> {
    let (name, path) = match request {
        Request::Configure(settings) => (&settings.name, settings.path.as_str()),
        Request::UnsetDefault { name } | Request::Remove { name, .. } => (name, ""),
    };
    let names: BTreeSet<_> = beside
        .runtimes
        .iter()
        .map(|(name, _)| name.to_owned())
        .collect();
    let layout = Layout {
        runtime: vec!["crio", "runtime", "runtimes", name],
        programs: &["runtime_path"],
        default: vec!["crio", "runtime", "default_runtime"],
        brings: |name| matches!(name, "crun" | "runc"),
        beside: &names,
        cdi: None,
        header: header(""),
    };
    layout.apply(text, request, |_| {
        let mut entry = Table::new();
        entry.insert("runtime_path", value(path));
        entry.insert("runtime_type", value("oci"));
        for (key, item) in beside.default_entry(name) {
            entry.insert(&key, item);
        }
        Ok(Item::Table(entry))
    })
}

/// CRI-O's other files, in the order in which it reads them.
fn others(root: &Path, own: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let mut files = drop_ins(root, Path::new(DROP_INS))?;
    files.insert(0, PathBuf::from(MAIN));
    Ok(without_own(root, files, own))
}

#[cfg(test)]
#[path = "crio_tests.rs"]
mod tests;
