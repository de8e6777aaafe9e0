//! What the engines with TOML files share: a file with edits of ours, of a runtime's name.

use std::collections::BTreeSet;

use toml_edit::Item;

use super::{OTHER_NAME, Request, Settings, lost_default};
use crate::config_file::EditError;
use crate::config_file::toml::{
    Document, Edit, apply, cut, cut_with_replaced, cut_without_restoring, differences, edited,
    first_addition, has_block, is_block, says_what_was_written,
};

/// Where an engine's configuration has what.
#[derive(Debug)]
pub struct Layout<'a> {
    /// The entry of the runtime.
    pub runtime: Vec<&'a str>,
    /// The keys of an entry whose values are paths of our program.
    pub programs: &'static [&'static str],
    /// The name of the default runtime.
    pub default: Vec<&'a str>,
    /// Whether the engine brings a runtime of this name.
    pub brings: fn(&str) -> bool,
    /// The runtimes that other files of the engine have.
    pub beside: &'a BTreeSet<String>,
    /// The switch of CDI, where there is one.
    pub cdi: Option<Vec<&'a str>>,
    /// What a file begins with that we make.
    pub header: String,
}

/// A file after a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// None for no file.
    pub text: Option<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

impl Layout<'_> {
    /// The text that `request` asks for. `entry` makes the runtime's entry from the text
    /// without it.
    ///
    /// # Errors
    /// Where the text is not TOML, or has something of somebody else's in our places.
    pub fn apply(
        &self,
        text: Option<&str>,
        request: &Request,
        entry: impl FnOnce(&str) -> Result<Item, EditError>,
    ) -> Result<Edited, EditError> {
        let (after, notes) = match (text, request) {
            (_, Request::Configure(settings)) => {
                let (after, notes) =
                    self.configure(text.unwrap_or(&self.header), settings, entry)?;
                (Some(after), notes)
            }
            (None, _) => (None, Vec::new()),
            (Some(text), Request::UnsetDefault { name }) => {
                (Some(self.unset_default(text, name)?), Vec::new())
            }
            (Some(text), Request::Remove { name, .. }) => {
                let (left, notes) = self.remove(text, name, entry)?;
                ((left != self.header).then_some(left), notes)
            }
        };
        Ok(Edited { text: after, notes })
    }

    fn configure(
        &self,
        text: &str,
        settings: &Settings,
        entry: impl FnOnce(&str) -> Result<Item, EditError>,
    ) -> Result<(String, Vec<String>), EditError> {
        let name = settings.name.as_str();
        let tag = runtime_tag(name);
        let edit = |tag: &str, path: &[&str], item: Item| Edit {
            tag: tag.to_owned(),
            path: path.iter().map(|key| (*key).to_owned()).collect(),
            item,
            replaces: matches!(tag, DEFAULT | CDI),
            programs: self.programs,
            hint: OTHER_NAME,
        };
        // What somebody else wrote among our lines stands in the way of taking them out, and
        // not of leaving them in.
        let before = self.without(text, name).unwrap_or_else(|_| text.to_owned());
        let entry = entry(&before)?;
        let notes = match edited(text, &tag, &self.runtime)? {
            None => Vec::new(),
            Some(found) => differences(&found, &entry, self.programs)
                .into_iter()
                .map(|(key, is, would_be)| {
                    let key = if key.is_empty() { "the entry" } else { &key };
                    format!(
                        "{key} of the runtime \"{name}\" stays {is}, as somebody edited it; \
                         amd-ctk would write {would_be}"
                    )
                })
                .collect(),
        };
        let mut edits = vec![edit(&tag, &self.runtime, entry)];
        if settings.default {
            edits.push(edit(DEFAULT, &self.default, toml_edit::value(name)));
        }
        if let (true, Some(path)) = (settings.cdi, &self.cdi) {
            edits.push(edit(CDI, path, toml_edit::value(true)));
        }
        let done = edits
            .iter()
            .try_fold(text.to_owned(), |text, edit| apply(&text, edit))?;
        Ok((done, notes))
    }

    fn unset_default(&self, text: &str, name: &str) -> Result<String, EditError> {
        if Document::parse(text)?.string(&self.default)? != Some(name) {
            return Ok(text.to_owned());
        }
        let left = cut_without_restoring(text, DEFAULT, &self.default)?;
        self.refuse_default(&left, name)?;
        Ok(left)
    }

    fn remove(
        &self,
        text: &str,
        name: &str,
        entry: impl FnOnce(&str) -> Result<Item, EditError>,
    ) -> Result<(String, Vec<String>), EditError> {
        self.refuse_addition(text, name, entry)?;
        let left = self.without(text, name)?;
        let document = Document::parse(text)?;
        if left != text {
            self.refuse_default(&left, name)?;
        } else if let Some(found) = document.get(&self.runtime)? {
            let message = format!("the runtime \"{name}\" was not written by amd-ctk");
            return Err(document
                .error_at(found, message)
                .with_hint("remove that entry by hand if nobody needs it"));
        }
        let mut notes = Vec::new();
        if Document::parse(&left)?.get(&self.default)?.is_none() {
            // The default that this text would have with ours taken out alone.
            let restored = cut(text, DEFAULT, &self.default)?;
            let old = Document::parse(&restored)?;
            let old = old.string(&self.default)?.filter(|old| *old != name);
            let key = self.default.last().copied().unwrap_or_default();
            notes.extend(old.map(|old| lost_default(key, old)));
        }
        Ok((left, notes))
    }

    /// Fails where somebody else has put settings into the entry of the runtime `name`, which
    /// would go with it. Those of the runtime that it is a copy of may have changed since.
    fn refuse_addition(
        &self,
        text: &str,
        name: &str,
        entry: impl FnOnce(&str) -> Result<Item, EditError>,
    ) -> Result<(), EditError> {
        let tag = runtime_tag(name);
        let Some(found) = edited(text, &tag, &self.runtime)? else {
            return Ok(());
        };
        if !says_what_was_written(text, &tag)? {
            return Ok(());
        }
        let before = self.without(text, name).unwrap_or_else(|_| text.to_owned());
        let Some(keys) = first_addition(&found, &entry(&before)?) else {
            return Ok(());
        };
        let document = Document::parse(text)?;
        let inner = keys.iter().map(String::as_str);
        let path: Vec<_> = self.runtime.iter().copied().chain(inner).collect();
        let message = format!(
            "\"{}\" of the runtime \"{name}\" was not written by amd-ctk",
            keys.join(".")
        );
        let fault = match document.get(&path)? {
            Some(item) => document.error_at(item, message),
            None => EditError::new(message),
        };
        Err(fault
            .with_hint("it goes with the runtime: take that line out, then run the command again"))
    }

    /// `text` without our edits for the runtime `name`. What other runtimes of ours need
    /// stays.
    fn without(&self, text: &str, name: &str) -> Result<String, EditError> {
        let default = Document::parse(text)?
            .string(&self.default)?
            .map(str::to_owned);
        let mut text = cut(text, &runtime_tag(name), &self.runtime)?;
        if default.is_none_or(|default| default == name) {
            text = self.without_default(&text)?;
        }
        match &self.cdi {
            Some(path) if !has_block(&text, RUNTIME) => cut(&text, CDI, path),
            _ => Ok(text),
        }
    }

    /// `text` without our default. The one that it replaced comes back if the engine knows
    /// it: engines do not start with a default that they do not know.
    fn without_default(&self, text: &str) -> Result<String, EditError> {
        let restored = cut(text, DEFAULT, &self.default)?;
        let document = Document::parse(&restored)?;
        let Some(old) = document.string(&self.default)? else {
            return Ok(restored);
        };
        let (_, around) = self.runtime.split_last().unwrap_or((&"", &[]));
        let known = (self.brings)(old)
            || self.beside.contains(old)
            || document.get(&[around, &[old]].concat())?.is_some();
        if known || restored == text {
            return Ok(restored);
        }
        cut_with_replaced(text, DEFAULT, &self.default)
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

/// Whether `text` has a block of ours with the runtime `name`.
pub fn is_block_of(text: &str, name: &str) -> bool {
    is_block(text, &runtime_tag(name))
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

/// The first comment of a file that we make.
pub fn header(more: &str) -> String {
    format!("# Made by `amd-ctk runtime configure`; its --remove deletes it again.\n{more}\n")
}
