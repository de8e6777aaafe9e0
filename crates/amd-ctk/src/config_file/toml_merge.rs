//! Lines of ours that somebody else edited: what they wrote there stays.

use std::path::Path;

use serde_json::Value as Plain;
use toml_edit::{DocumentMut, Item, Table, TableLike};

use super::EditError;
use super::toml_meaning::plain;

/// The line of a block that tells what we wrote there, by [`sum`].
pub const WRITTEN: &str = "# checksum: ";

/// Tells one meaning from another: an entry that is as we wrote it from one that was edited.
pub fn sum(item: &Item) -> String {
    let mut plain = plain(item);
    plain.sort_all_objects();
    format!("{:08x}", crc32fast::hash(plain.to_string().as_bytes()))
}

/// `body`, TOML with a table at `path`, in which the table has every key of `wanted`.
/// Keys that are there keep their values, but for the paths of programs that moved; `found` is
/// the table as the text around has it. None where the table is not in the body.
///
/// # Errors
/// Where `body` is not TOML by itself.
pub fn merge(
    body: &str,
    path: &[&str],
    found: &Item,
    wanted: &Table,
    programs: &[&str],
) -> Result<Option<String>, EditError> {
    let mut document: DocumentMut = body
        .parse()
        .map_err(|error: toml_edit::TomlError| EditError::new(error.message().to_owned()))?;
    let mut table: &mut dyn TableLike = document.as_table_mut();
    for key in path {
        match table.get_mut(key).and_then(Item::as_table_like_mut) {
            Some(inner) => table = inner,
            None => return Ok(None),
        }
    }
    let changed = fill(table, Some(found), wanted, programs);
    Ok(Some(if changed {
        document.to_string()
    } else {
        body.to_owned()
    }))
}

/// Whether that changed the table.
fn fill(
    table: &mut dyn TableLike,
    found: Option<&Item>,
    wanted: &dyn TableLike,
    programs: &[&str],
) -> bool {
    let mut changed = false;
    for (key, item) in wanted.iter() {
        let elsewhere = found.and_then(|found| found.as_table_like()?.get(key));
        match (table.get_mut(key), item.as_table_like()) {
            (None, _) if elsewhere.is_some() => {}
            (None, _) => {
                table.insert(key, item.clone());
                changed = true;
            }
            (Some(inner), Some(wanted)) => {
                if let Some(inner) = inner.as_table_like_mut() {
                    changed |= fill(inner, elsewhere, wanted, programs);
                }
            }
            (Some(value), None) if programs.contains(&key) && moved(value, item) => {
                set(value, item);
                changed = true;
            }
            (Some(_), None) => {}
        }
    }
    changed
}

/// Another value with the blanks and the comment around the one that was there.
fn set(place: &mut Item, item: &Item) {
    let decor = place.as_value().map(|old| old.decor().clone());
    *place = item.clone();
    if let (Some(decor), Some(value)) = (decor, place.as_value_mut()) {
        *value.decor_mut() = decor;
    }
}

/// The keys that lead to what `found` has and `wanted` has not, the first of them.
pub fn first_addition(found: &Item, wanted: &Item) -> Option<Vec<String>> {
    let (found, wanted) = (found.as_table_like()?, wanted.as_table_like()?);
    found.iter().find_map(|(key, item)| {
        let rest = match wanted.get(key) {
            None => Some(Vec::new()),
            Some(wanted) => first_addition(item, wanted),
        };
        rest.map(|mut keys| {
            keys.insert(0, key.to_owned());
            keys
        })
    })
}

/// The keys in which both have a value and not the same, without paths of programs that moved.
/// An empty key where they are no tables.
pub fn differences(found: &Item, wanted: &Item, programs: &[&str]) -> Vec<(String, Plain, Plain)> {
    let different = plain(found) != plain(wanted);
    let (Some(found), Some(wanted)) = (found.as_table_like(), wanted.as_table_like()) else {
        let difference = (String::new(), plain(found), plain(wanted));
        return different.then_some(difference).into_iter().collect();
    };
    let mut differences = Vec::new();
    for (key, item) in found.iter() {
        let Some(other) = wanted.get(key) else {
            continue;
        };
        if programs.contains(&key) && moved(item, other) {
            continue;
        }
        for (inner, is, would_be) in self::differences(item, other, programs) {
            let key = if inner.is_empty() {
                key.to_owned()
            } else {
                inner
            };
            differences.push((key, is, would_be));
        }
    }
    differences
}

/// Whether both are paths of a program of the same name, and not the same.
fn moved(from: &Item, to: &Item) -> bool {
    let (Some(from), Some(to)) = (from.as_str(), to.as_str()) else {
        return false;
    };
    from != to && Path::new(from).file_name() == Path::new(to).file_name()
}
