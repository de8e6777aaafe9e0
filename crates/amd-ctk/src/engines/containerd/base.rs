//! What config.toml needs for a runtime of ours to stand in it, and has no use for without.

use toml_edit::{Item, Table, value};

use super::version::NEW_CONFIG_VERSION;
use crate::config_file::EditError;
use crate::config_file::toml::{self, Document, Edit, has_block};
use crate::engines::toml_files::is_block_of;

/// The block with the version of a file that had none and needed none.
const VERSION: &str = "version";

/// The block with the runtime that containerd brings.
const RUNC: &str = "runc";

/// The last version of the configuration in which containerd forgets the runtimes that it
/// brings where the file has any: 1.x does, and its CRI plugin does not start without the
/// default one.
const FORGETS: i64 = 2;

/// `text`, a configuration of `version`, with what an entry at `runtime` needs.
///
/// # Errors
/// Where the text is not TOML.
pub fn laid(text: &str, version: i64, runtime: &[&str]) -> Result<String, EditError> {
    let mut text = text.to_owned();
    if is_blank(&text)? {
        text = toml::apply(
            &text,
            &edit(VERSION, &["version"], value(NEW_CONFIG_VERSION)),
        )?;
    }
    if version <= FORGETS && !has_block(&text, RUNC) && others(&text, runtime)?.is_empty() {
        let mut entry = Table::new();
        entry.insert("runtime_type", value(super::RUNC_SHIM));
        text = toml::apply(&text, &edit(RUNC, &runc(runtime), Item::Table(entry)))?;
    }
    Ok(text)
}

/// `text` without what [`laid`] put in, as far as nobody has a use for it.
///
/// # Errors
/// Where the text is not TOML.
pub fn taken_up(text: &str, runtime: &[&str]) -> Result<String, EditError> {
    let mut text = text.to_owned();
    let runc = runc(runtime);
    let alone = names(&text, runtime)?.iter().all(|name| name == RUNC);
    if alone && toml::edited(&text, RUNC, &runc)?.is_none() {
        text = toml::cut(&text, RUNC, &runc)?;
    }
    let without = toml::cut(&text, VERSION, &["version"])?;
    Ok(if is_blank(&without)? { without } else { text })
}

/// Whether there is nothing in it that a version could give a meaning.
fn is_blank(text: &str) -> Result<bool, EditError> {
    let document = Document::parse(text)?;
    Ok(document.table(&[])?.is_none_or(|root| root.is_empty()))
}

fn edit(tag: &str, path: &[&str], item: Item) -> Edit {
    Edit {
        tag: tag.to_owned(),
        path: path.iter().map(|key| (*key).to_owned()).collect(),
        item,
        // Only runc's entry is one to which somebody could add.
        replaces: tag == VERSION,
        programs: &[],
        hint: "",
    }
}

/// Where runc's entry is, beside the one at `runtime`.
fn runc<'a>(runtime: &[&'a str]) -> Vec<&'a str> {
    let around = runtime.split_last().map_or(&[][..], |(_, around)| around);
    [around, &[RUNC]].concat()
}

/// The runtimes that are beside the one at `runtime`, and it.
fn names(text: &str, runtime: &[&str]) -> Result<Vec<String>, EditError> {
    let around = runtime.split_last().map_or(&[][..], |(_, around)| around);
    let document = Document::parse(text)?;
    let table = document.table(around)?;
    let names = table.into_iter().flat_map(|table| table.iter());
    Ok(names.map(|(name, _)| name.to_owned()).collect())
}

/// The runtimes that are not ours.
fn others(text: &str, runtime: &[&str]) -> Result<Vec<String>, EditError> {
    let mut names = names(text, runtime)?;
    names.retain(|name| !is_block_of(text, name));
    Ok(names)
}
