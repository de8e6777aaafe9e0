//! A TOML text (v1.0), and where in it what is.

use serde_json::Value as Plain;
use toml_edit::{Item, TableLike};

use super::EditError;
use super::toml_meaning::plain;

/// A TOML text, parsed.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t str,
    document: toml_edit::Document<&'t str>,
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

    /// Its values, without their notation.
    pub fn meaning(&self) -> Plain {
        plain(self.document.as_item())
    }
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
