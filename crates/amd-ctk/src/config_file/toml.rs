//! Edits of a TOML text (v1.0) that keep comments, order and every other byte. What is
//! ours stands in blocks that say so, and each edit is checked: the text means what it
//! meant before, but for what the edit is about.

use serde_json::Value as Plain;
use toml_edit::{Item, Table, TableLike, Value};

use super::toml_meaning::plain;
use super::{EditError, toml_block};

/// A TOML text, parsed.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t str,
    document: toml_edit::Document<&'t str>,
}

/// What is to be in a file, in a block of its own.
#[derive(Debug, Clone)]
pub struct Edit {
    /// Names the block.
    pub tag: String,
    /// The keys that lead to it.
    pub path: Vec<String>,
    /// A table or a value.
    pub item: Item,
    /// Whether another value gives way to it, or is an error.
    pub replaces: bool,
    /// The way out where it is an error.
    pub hint: &'static str,
}

impl<'t> Document<'t> {
    /// Parses `text`.
    ///
    /// # Errors
    /// Where it is not TOML.
    pub fn parse(text: &'t str) -> Result<Self, EditError> {
        match toml_edit::Document::parse(text) {
            Ok(document) => Ok(Self { text, document }),
            Err(error) => {
                let start = error.span().map_or(0, |span| span.start);
                let message = error.message().trim_end().replace('\n', ", ");
                Err(EditError::at(text, start, message))
            }
        }
    }

    /// What is at `path`.
    ///
    /// # Errors
    /// Where something on the way there is no table.
    pub fn get(&self, path: &[&str]) -> Result<Option<&Item>, EditError> {
        let Some((key, parents)) = path.split_last() else {
            return Ok(Some(self.document.as_item()));
        };
        Ok(self.table(parents)?.and_then(|table| table.get(key)))
    }

    /// The table at `path`.
    ///
    /// # Errors
    /// As [`get`](Self::get), and where it is no table itself.
    pub fn table(&self, path: &[&str]) -> Result<Option<&dyn TableLike>, EditError> {
        let mut table: &dyn TableLike = self.document.as_table();
        for key in path {
            let Some(item) = table.get(key) else {
                return Ok(None);
            };
            table = item.as_table_like().ok_or_else(|| {
                let message = format!("\"{key}\" is {}, not a table", kind(item));
                self.error_at(item, message)
            })?;
        }
        Ok(Some(table))
    }

    /// The string at `path`.
    ///
    /// # Errors
    /// As [`get`](Self::get), and where it is no string.
    pub fn string(&self, path: &[&str]) -> Result<Option<&str>, EditError> {
        let Some(item) = self.get(path)? else {
            return Ok(None);
        };
        match item.as_str() {
            Some(text) => Ok(Some(text)),
            None => {
                let key = path.last().copied().unwrap_or_default();
                let message = format!("\"{key}\" is {}, not a string", kind(item));
                Err(self.error_at(item, message))
            }
        }
    }

    /// An error that points to `item` of this text.
    pub fn error_at(&self, item: &Item, message: impl Into<String>) -> EditError {
        match item.span() {
            Some(span) => EditError::at(self.text, span.start, message),
            None => EditError::new(message),
        }
    }
}

/// `text` with `edit` in it; the same text where it is there already.
///
/// # Errors
/// Where `text` is not TOML, holds something else in that place, or cannot hold the edit
/// because a table around it is written inline.
pub fn apply(text: &str, edit: &Edit) -> Result<String, EditError> {
    let path = path_of(edit);
    if toml_block::find(text, &edit.tag)?.is_some() {
        let base = cut(text, &edit.tag, &path)?;
        let anew = add(&base, edit, &path)?;
        // In another place the user may have moved it to, it means the same.
        return Ok(if meaning(text)? == meaning(&anew)? {
            text.to_owned()
        } else {
            anew
        });
    }
    add(text, edit, &path)
}

/// `text` without the block `tag`, which holds what is at `path`.
///
/// # Errors
/// Where `text` is not TOML, or more is in the block than what was put there.
pub fn cut(text: &str, tag: &str, path: &[&str]) -> Result<String, EditError> {
    let without = toml_block::cut(text, tag)?;
    check(text, &without, path).map_err(|_| edited(text, tag))?;
    Ok(without)
}

/// As [`cut`], but what the block replaced is not restored.
///
/// # Errors
/// As [`cut`].
pub fn cut_without_restoring(text: &str, tag: &str, path: &[&str]) -> Result<String, EditError> {
    let without = toml_block::empty(text, tag)?;
    check(text, &without, path).map_err(|_| edited(text, tag))?;
    Ok(without)
}

/// Whether `text` has a block of ours whose tag begins with `tag`.
pub fn has_block(text: &str, tag: &str) -> bool {
    toml_block::begins_in(text, tag)
}

fn add(text: &str, edit: &Edit, path: &[&str]) -> Result<String, EditError> {
    let document = Document::parse(text)?;
    let (Some(key), Some(parents)) = (path.last(), path.get(..path.len().saturating_sub(1))) else {
        return Ok(text.to_owned());
    };
    let parent = document.table(parents)?;
    let after = match (parent.and_then(|parent| parent.get(key)), &edit.item) {
        (Some(found), wanted) if plain(found) == plain(wanted) => return Ok(text.to_owned()),
        (Some(found), Item::Value(value)) if edit.replaces => {
            let at = found.span().map_or(0, |span| span.start);
            toml_block::replace_line(text, at, &edit.tag, &assignment(text, at, key, value))
        }
        (Some(found), _) => {
            let message = format!("\"{key}\" is there already and is not ours");
            return Err(document.error_at(found, message).with_hint(edit.hint));
        }
        (None, Item::Value(value)) => match header(&document, parents)? {
            Some(at) => {
                let body = assignment(text, at, key, value);
                toml_block::insert_after(text, at, &edit.tag, &body)
            }
            None => toml_block::append(text, &edit.tag, &printed(path, &edit.item)),
        },
        (None, item) => toml_block::append(text, &edit.tag, &printed(path, item)),
    };
    check(text, &after, path).map_err(|_| {
        EditError::new(format!("\"{}\" cannot be added", path.join(".")))
            .with_hint("write the tables around it with headers of their own, not inline")
    })?;
    Ok(after)
}

/// The last byte of the header `[path]`, where the table has one.
fn header(document: &Document<'_>, path: &[&str]) -> Result<Option<usize>, EditError> {
    let Some(Item::Table(table)) = document.get(path)? else {
        return Ok(None);
    };
    let explicit = !table.is_implicit() && !table.is_dotted() && !path.is_empty();
    Ok(table.span().filter(|_| explicit).map(|span| span.start))
}

/// The line `key = value`, indented as the line of byte `at`.
fn assignment(text: &str, at: usize, key: &str, value: &Value) -> String {
    let line = &text[toml_block::line(text, at)];
    let indent = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
    let key = toml_edit::Key::new(key);
    format!("{indent}{} = {value}\n", key.display_repr())
}

/// The lines of a text that has `item` at `path` and nothing else.
fn printed(path: &[&str], item: &Item) -> String {
    let mut item = item.clone();
    for (depth, key) in path.iter().enumerate().rev() {
        let mut table = Table::new();
        // Only the table that holds the item itself needs a header.
        table.set_implicit(depth + 1 < path.len() || item.is_table());
        table.insert(key, item);
        item = Item::Table(table);
    }
    match item {
        Item::Table(root) => toml_edit::DocumentMut::from(root).to_string(),
        _ => String::new(),
    }
}

fn path_of(edit: &Edit) -> Vec<&str> {
    edit.path.iter().map(String::as_str).collect()
}

fn edited(text: &str, tag: &str) -> EditError {
    let marker = format!("# >>> amd-ctk: {tag}");
    EditError::at(
        text,
        text.find(&marker).unwrap_or(0),
        "somebody else's settings are between our two comments",
    )
    .with_hint("move them below the second comment")
}

/// Fails unless `after` means what `before` does but for what is at `path`.
fn check(before: &str, after: &str, path: &[&str]) -> Result<(), EditError> {
    let [before, after] = [before, after].map(|text| {
        meaning(text).map(|mut meaning| {
            remove(&mut meaning, path);
            meaning
        })
    });
    if before? == after? {
        Ok(())
    } else {
        Err(EditError::new("the edit would change other settings"))
    }
}

/// Removes what is at `path`, and the tables around it that are empty then.
fn remove(table: &mut Plain, path: &[&str]) {
    let (Some((key, rest)), Some(table)) = (path.split_first(), table.as_object_mut()) else {
        return;
    };
    if let Some(inner) = table.get_mut(*key) {
        remove(inner, rest);
        if rest.is_empty() || inner.as_object().is_some_and(serde_json::Map::is_empty) {
            table.shift_remove(*key);
        }
    }
}

/// The values of a text, without their notation.
fn meaning(text: &str) -> Result<Plain, EditError> {
    Ok(plain(Document::parse(text)?.document.as_item()))
}

fn kind(item: &Item) -> String {
    let name = item.type_name();
    let article = if name.starts_with(['a', 'i']) {
        "an"
    } else {
        "a"
    };
    format!("{article} {name}")
}

#[cfg(test)]
#[path = "toml_tests.rs"]
mod tests;
