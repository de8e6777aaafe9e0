//! What the engines with TOML files share: a file with edits of ours, of a runtime's name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use toml_edit::{Item, Table, TableLike, Value};

use super::{OTHER_NAME, Request};
use crate::config_file::toml::{Document, Edit, apply, cut, cut_without_restoring, has_block};
use crate::config_file::{ConfigError, EditError};

/// Where an engine's configuration has what.
#[derive(Debug)]
pub struct Layout<'a> {
    /// The entry of the runtime.
    pub runtime: Vec<&'a str>,
    /// The name of the default runtime.
    pub default: Vec<&'a str>,
    /// The switch of CDI, where there is one.
    pub cdi: Option<Vec<&'a str>>,
    /// What a file begins with that we make.
    pub header: String,
}

impl Layout<'_> {
    /// The text that `request` asks for, None for no file. `entry` makes the runtime's entry
    /// from the text without it.
    ///
    /// # Errors
    /// Where the text is not TOML, or has something of somebody else's in our places.
    pub fn apply(
        &self,
        text: Option<&str>,
        request: &Request,
        entry: impl FnOnce(&str) -> Result<Item, EditError>,
    ) -> Result<Option<String>, EditError> {
        match request {
            Request::Configure(settings) => {
                let current = text.unwrap_or(&self.header);
                let before = self.without(current, &settings.name)?;
                let edit = |tag: &str, path: &[&str], item: Item| Edit {
                    tag: tag.to_owned(),
                    path: path.iter().map(|key| (*key).to_owned()).collect(),
                    item,
                    replaces: matches!(tag, DEFAULT | CDI),
                    hint: OTHER_NAME,
                };
                let name = settings.name.as_str();
                let mut edits = vec![edit(
                    &runtime_tag(&settings.name),
                    &self.runtime,
                    entry(&before)?,
                )];
                if settings.default {
                    edits.push(edit(DEFAULT, &self.default, toml_edit::value(name)));
                }
                if let (true, Some(path)) = (settings.cdi, &self.cdi) {
                    edits.push(edit(CDI, path, toml_edit::value(true)));
                }
                let done = edits
                    .iter()
                    .try_fold(current.to_owned(), |text, edit| apply(&text, edit))?;
                Ok(Some(done))
            }
            Request::UnsetDefault { name } => {
                let Some(text) = text else { return Ok(None) };
                if Document::parse(text)?.string(&self.default)? != Some(name) {
                    return Ok(Some(text.to_owned()));
                }
                let left = cut_without_restoring(text, DEFAULT, &self.default)?;
                self.refuse_default(&left, name)?;
                Ok(Some(left))
            }
            Request::Remove { name, .. } => {
                let Some(text) = text else { return Ok(None) };
                let left = self.without(text, name)?;
                if left != text {
                    self.refuse_default(&left, name)?;
                } else if let Some(found) = Document::parse(text)?.get(&self.runtime)? {
                    let message = format!("the runtime \"{name}\" was not written by amd-ctk");
                    return Err(Document::parse(text)?
                        .error_at(found, message)
                        .with_hint("remove that entry by hand if nobody needs it"));
                }
                Ok((left != self.header).then_some(left))
            }
        }
    }

    /// `text` without our edits for the runtime `name`. What other runtimes of ours need
    /// stays.
    fn without(&self, text: &str, name: &str) -> Result<String, EditError> {
        let default = Document::parse(text)?
            .string(&self.default)?
            .map(str::to_owned);
        let mut text = cut(text, &runtime_tag(name), &self.runtime)?;
        if default.is_none_or(|default| default == name) {
            text = cut(&text, DEFAULT, &self.default)?;
        }
        match &self.cdi {
            Some(path) if !has_block(&text, RUNTIME) => cut(&text, CDI, path),
            _ => Ok(text),
        }
    }

    /// Fails where `name` is the default by a line that is not ours: engines do not start
    /// with a default that they do not know.
    fn refuse_default(&self, text: &str, name: &str) -> Result<(), EditError> {
        let document = Document::parse(text)?;
        match document.get(&self.default)? {
            Some(item) if item.as_str() == Some(name) => {
                let message =
                    format!("\"{name}\" is the default by a line that amd-ctk did not write");
                let fault = document.error_at(item, message);
                Err(fault.with_hint("change or remove that line, then run the command again"))
            }
            _ => Ok(()),
        }
    }
}

/// What the names of blocks with a runtime's entry begin with.
const RUNTIME: &str = "runtime ";
const DEFAULT: &str = "default";
const CDI: &str = "cdi";

fn runtime_tag(name: &str) -> String {
    format!("{RUNTIME}{name}")
}

/// `text` without our entry of the runtime `name`, which is at `path`.
///
/// # Errors
/// As [`cut`].
pub fn without_runtime(text: &str, name: &str, path: &[&str]) -> Result<String, EditError> {
    cut(text, &runtime_tag(name), path)
}

/// Fails where `text`, of a file beside ours, has an entry at `path`: ours would hide it.
///
/// # Errors
/// That, and where the text is not TOML.
pub fn refuse_entry(text: &str, path: &[&str]) -> Result<(), EditError> {
    let document = Document::parse(text)?;
    match document.get(path)? {
        None => Ok(()),
        Some(found) => {
            let name = path.last().copied().unwrap_or_default();
            let message = format!("the runtime \"{name}\" is there already and is not ours");
            Err(document.error_at(found, message).with_hint(OTHER_NAME))
        }
    }
}

/// The files of a directory of drop-ins, in the order of their names; none where there is no
/// such directory.
///
/// # Errors
/// Where the directory cannot be read.
pub fn drop_ins(dir: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let failed = |error| ConfigError::io("list", dir, error);
    let mut files = match fs::read_dir(dir) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<io::Result<Vec<_>>>()
            .map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    files.retain(|path| path.is_file());
    files.sort();
    Ok(files)
}

/// The first comment of a file that we make.
pub fn header(more: &str) -> String {
    format!("# Made by `amd-ctk runtime configure`; its --remove deletes it again.\n{more}\n")
}

/// A copy of what `keep` lets through, without the notation and places of the original.
pub fn copy(table: &dyn TableLike, keep: fn(&str) -> bool) -> Table {
    let mut copy = Table::new();
    let (values, tables): (Vec<_>, Vec<_>) = table
        .iter()
        .filter(|(key, _)| keep(key))
        .partition(|(_, item)| item.is_value());
    for (key, item) in values.into_iter().chain(tables) {
        if let Item::Value(value) = item {
            copy.insert(key, Item::Value(undecorated(value)));
        } else if let Some(inner) = item.as_table_like() {
            copy.insert(key, Item::Table(self::copy(inner, |_| true)));
        }
    }
    copy
}

fn undecorated(value: &Value) -> Value {
    match value {
        Value::String(text) => text.value().as_str().into(),
        Value::Integer(number) => (*number.value()).into(),
        Value::Float(number) => (*number.value()).into(),
        Value::Boolean(flag) => (*flag.value()).into(),
        Value::Datetime(time) => (*time.value()).into(),
        Value::Array(items) => items.iter().map(undecorated).collect(),
        Value::InlineTable(table) => {
            let entries = table.iter().map(|(key, value)| (key, undecorated(value)));
            Value::InlineTable(entries.collect())
        }
    }
}
