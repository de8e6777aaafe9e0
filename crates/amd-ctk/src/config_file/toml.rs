//! Edits of a TOML text (v1.0) that keep comments, order and every other byte. What is
//! ours stands in blocks that say so, and each edit is checked: the text means what it
//! meant before, but for what the edit is about.

use serde_json::Value as Plain;
use toml_edit::{Item, Table, Value};

pub use super::toml_document::Document;
use super::toml_meaning::plain;
use super::toml_merge::{self, WRITTEN};
pub use super::toml_merge::{differences, first_addition};
use super::{EditError, toml_block};

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
    /// The keys of a table whose values are paths of programs: where somebody else edited the
    /// table, a path of the same program elsewhere gives way.
    pub programs: &'static [&'static str],
    /// The way out where it is an error.
    pub hint: &'static str,
}

/// `text` with `edit` in it; the same text where it is there already. Where somebody else
/// edited the block since, what they wrote there stays.
///
/// # Errors
/// Where `text` is not TOML, holds something else in that place, or cannot hold the edit
/// because a table around it is written inline.
pub fn apply(text: &str, edit: &Edit) -> Result<String, EditError> {
    let path = path_of(edit);
    if toml_block::find(text, &edit.tag)?.is_none() {
        return add(text, edit, &path);
    }
    // In another place the user may have moved it to, it means the same.
    let document = Document::parse(text)?;
    if document.get(&path)?.map(plain) == Some(plain(&edit.item)) {
        return Ok(text.to_owned());
    }
    if let Some(kept) = merge(text, edit, &path)? {
        return Ok(kept);
    }
    add(&cut(text, &edit.tag, &path)?, edit, &path)
}

/// What the block `tag` has at `path`, if somebody else edited it since.
///
/// # Errors
/// Where `text` is not TOML.
pub fn edited(text: &str, tag: &str, path: &[&str]) -> Result<Option<Item>, EditError> {
    let Some(block) = toml_block::find(text, tag)? else {
        return Ok(None);
    };
    let document = Document::parse(text)?;
    let Some(found) = document.get(path)? else {
        return Ok(None);
    };
    let mut lines = block.body(text).lines();
    let written = lines.find_map(|line| line.strip_prefix(WRITTEN));
    Ok((written != Some(toml_merge::sum(found).as_str())).then(|| found.clone()))
}

/// Whether the block `tag` says what was written into it. Those of earlier versions do not, and it cannot
/// be told what in them is somebody else's.
///
/// # Errors
/// Where the block has no end.
pub fn says_what_was_written(text: &str, tag: &str) -> Result<bool, EditError> {
    let block = toml_block::find(text, tag)?;
    Ok(block.is_some_and(|block| {
        let mut lines = block.body(text).lines();
        lines.any(|line| line.starts_with(WRITTEN))
    }))
}

/// None where nobody else edited the block, or what was edited is not in it any more.
fn merge(text: &str, edit: &Edit, path: &[&str]) -> Result<Option<String>, EditError> {
    if edit.replaces {
        return Ok(None);
    }
    let Some(found) = edited(text, &edit.tag, path)? else {
        return Ok(None);
    };
    let Some(block) = toml_block::find(text, &edit.tag)? else {
        return Ok(None);
    };
    let Item::Table(wanted) = &edit.item else {
        return Ok(Some(text.to_owned()));
    };
    let body = block.body(text);
    let Some(body) = toml_merge::merge(body, path, &found, wanted, edit.programs)? else {
        return Ok(None);
    };
    let after = block.with_body(text, &body);
    check(text, &after, path).map_err(|_| mixed(text, &edit.tag))?;
    Ok(Some(after))
}

/// `text` without the block `tag`, which holds what is at `path`.
///
/// # Errors
/// Where `text` is not TOML, or more is in the block than what was put there.
pub fn cut(text: &str, tag: &str, path: &[&str]) -> Result<String, EditError> {
    let without = toml_block::cut(text, tag)?;
    check(text, &without, path).map_err(|_| mixed(text, tag))?;
    Ok(without)
}

/// As [`cut`], but what the block replaced is not restored.
///
/// # Errors
/// As [`cut`].
pub fn cut_without_restoring(text: &str, tag: &str, path: &[&str]) -> Result<String, EditError> {
    let without = toml_block::empty(text, tag)?;
    check(text, &without, path).map_err(|_| mixed(text, tag))?;
    Ok(without)
}

/// As [`cut`], but what the block replaced goes with it.
///
/// # Errors
/// As [`cut`].
pub fn cut_with_replaced(text: &str, tag: &str, path: &[&str]) -> Result<String, EditError> {
    let without = toml_block::cut_with_replaced(text, tag)?;
    check(text, &without, path).map_err(|_| mixed(text, tag))?;
    Ok(without)
}

/// Whether `text` has the block `tag`.
pub fn is_block(text: &str, tag: &str) -> bool {
    matches!(toml_block::find(text, tag), Ok(Some(_)))
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
                let body = assignment(text, at, key, value) + &written(edit);
                toml_block::insert_after(text, at, &edit.tag, &body)
            }
            None => {
                let body = printed(path, &edit.item) + &written(edit);
                toml_block::append(text, &edit.tag, &body)
            }
        },
        (None, item) => {
            let body = printed(path, item) + &written(edit);
            toml_block::append(text, &edit.tag, &body)
        }
    };
    check(text, &after, path).map_err(|_| {
        EditError::new(format!("\"{}\" cannot be added", path.join(".")))
            .with_hint("write the tables around it with headers of their own, not inline")
    })?;
    Ok(after)
}

/// The line that tells later what we wrote. A value in the place of another has none: there is
/// nothing in it that somebody could add to.
fn written(edit: &Edit) -> String {
    if edit.replaces {
        return String::new();
    }
    format!("{WRITTEN}{}\n", toml_merge::sum(&edit.item))
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

fn mixed(text: &str, tag: &str) -> EditError {
    let marker = format!("# >>> amd-ctk: {tag}");
    EditError::at(
        text,
        text.find(&marker).unwrap_or(0),
        "somebody else's settings are between our two comments, or below them under our header",
    )
    .with_hint("move them below the second comment, under a header of their own")
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
    Ok(Document::parse(text)?.meaning())
}

#[cfg(test)]
#[path = "toml_tests.rs"]
mod tests;
