//! Edits of a JSON text (RFC 8259) that leave every other byte as it is: the text is parsed
//! for the places of values, and only the bytes between such places are replaced.

use jsonc_parser::ast::{Object, ObjectProp, Value};
use jsonc_parser::common::Ranged;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};

use super::EditError;
use super::json_style::Style;

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// A JSON object as it is written. A text of blanks alone counts as an object without keys.
#[derive(Debug)]
pub struct Document<'t> {
    text: &'t str,
    /// None for a text of blanks.
    root: Option<Object<'t>>,
}

impl<'t> Document<'t> {
    /// Parses `text`.
    ///
    /// # Errors
    /// Where it is not JSON, not an object, or has a key twice in one object: engines
    /// disagree on which of them counts.
    pub fn parse(text: &'t str) -> Result<Self, EditError> {
        if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
            return Ok(Self { text, root: None });
        }
        // Judged by serde_json; the other parser is there for the places of values.
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
            return Err(syntax_error(text, &error));
        }
        let parsed = parse_to_ast(text, &CollectOptions::default(), &STRICT)
            .map_err(|error| EditError::at(text, error.range().start, error.kind().to_string()))?;
        let root = match parsed.value {
            Some(Value::Object(root)) => root,
            value => {
                let start = value.map_or(0, |value| value.range().start);
                return Err(EditError::at(text, start, "the file is not a JSON object"));
            }
        };
        refuse_duplicates(text, &root)?;
        Ok(Self {
            text,
            root: Some(root),
        })
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.root
            .as_ref()
            .is_none_or(|root| root.properties.is_empty())
    }

    /// The value at `path`, a key an element.
    ///
    /// # Errors
    /// Where a value on the way there is no object.
    pub fn get(&self, path: &[&str]) -> Result<Option<serde_json::Value>, EditError> {
        let found = self.property(path)?;
        Ok(found.and_then(|found| serde_json::from_str(self.source(&found.value)).ok()))
    }

    /// An error that points to the value at `path`, or to the text as a whole.
    pub fn error_at(&self, path: &[&str], message: impl Into<String>) -> EditError {
        match self.property(path) {
            Ok(Some(found)) => EditError::at(self.text, found.value.range().start, message),
            _ => EditError::new(message),
        }
    }

    /// The object at `path`; the text as a whole where `path` is empty.
    fn object(&self, path: &[&str]) -> Result<Option<&Object<'t>>, EditError> {
        let Some(mut object) = self.root.as_ref() else {
            return Ok(None);
        };
        for key in path {
            object = match object.get(key).map(|found| &found.value) {
                // As who reads these files takes it: null is nothing.
                None | Some(Value::NullKeyword(_)) => return Ok(None),
                Some(Value::Object(inner)) => inner,
                Some(other) => {
                    let message = format!("\"{key}\" is {}, not an object", kind(other));
                    return Err(EditError::at(self.text, other.range().start, message));
                }
            };
        }
        Ok(Some(object))
    }

    fn property(&self, path: &[&str]) -> Result<Option<&ObjectProp<'t>>, EditError> {
        let Some((key, parents)) = path.split_last() else {
            return Ok(None);
        };
        Ok(self.object(parents)?.and_then(|object| object.get(key)))
    }

    fn source(&self, value: &impl Ranged) -> &'t str {
        let range = value.range();
        &self.text[range.start..range.end]
    }
}

/// `text` with `value` at `path`; objects on the way there are made. The same text where it
/// is there already.
///
/// # Errors
/// Where `text` is no JSON object or a value on the way is none.
pub fn set(text: &str, path: &[&str], value: &serde_json::Value) -> Result<String, EditError> {
    let document = Document::parse(text)?;
    let style = Style::of(text);
    let Some(root) = &document.root else {
        return Ok(style.document(&nested(path, value)));
    };
    if let Some(found) = document.property(path)? {
        if document.get(path)?.as_ref() == Some(value) {
            return Ok(text.to_owned());
        }
        let range = found.value.range();
        let indent = style.line_indent(text, range.start);
        return Ok(splice(
            text,
            range.start,
            range.end,
            &style.value(value, indent),
        ));
    }
    let (mut object, mut depth) = (root, 0);
    while depth + 1 < path.len()
        && let Some(inner) = document.object(&path[..=depth])?
    {
        (object, depth) = (inner, depth + 1);
    }
    let value = nested(&path[depth + 1..], value);
    if let Some(null) = object.get(path[depth]) {
        let range = null.value.range();
        let new = style.value(&value, style.line_indent(text, range.start));
        return Ok(splice(text, range.start, range.end, &new));
    }
    Ok(insert(text, &style, object, path[depth], &value))
}

/// `text` without the property at `path`, and without the objects around it that are empty
/// then, unless `origin` has them. What is left of an object is written as in `origin`.
/// The same text where there is no such property.
///
/// # Errors
/// As [`set`]; `origin` is taken for an empty object where it is none.
pub fn remove(text: &str, path: &[&str], origin: &str) -> Result<String, EditError> {
    let document = Document::parse(text)?;
    let Some((key, parents)) = path.split_last() else {
        return Ok(text.to_owned());
    };
    let Some(object) = document.object(parents)? else {
        return Ok(text.to_owned());
    };
    let properties = &object.properties;
    let Some(index) = properties
        .iter()
        .position(|found| found.name.as_str() == *key)
    else {
        return Ok(text.to_owned());
    };
    let own = properties[index].range();
    if index > 0 {
        return Ok(splice(text, properties[index - 1].range().end, own.end, ""));
    }
    if let Some(next) = properties.get(1) {
        return Ok(splice(text, own.start, next.range().start, ""));
    }
    let before = Document::parse(origin).ok();
    let before = before.as_ref().and_then(|before| {
        if let Ok(Some(found)) = before.property(parents)
            && matches!(found.value, Value::NullKeyword(_))
        {
            return Some("null");
        }
        let object = before.object(parents).ok().flatten()?;
        let empty = object.properties.is_empty();
        Some(if empty { before.source(object) } else { "{}" })
    });
    let range = object.range();
    match before {
        Some(before) => Ok(splice(text, range.start, range.end, before)),
        None if parents.is_empty() => Ok(splice(text, range.start, range.end, "{}")),
        None => remove(text, parents, origin),
    }
}

fn insert(
    text: &str,
    style: &Style,
    object: &Object<'_>,
    key: &str,
    value: &serde_json::Value,
) -> String {
    let name = serde_json::Value::from(key);
    let range = object.range();
    let (Some(first), Some(last)) = (object.properties.first(), object.properties.last()) else {
        let indent = style.line_indent(text, range.start);
        let object = serde_json::json!({ key: value });
        return splice(text, range.start, range.end, &style.value(&object, indent));
    };
    let lead = &text[range.start + 1..first.range().start];
    let end = last.range().end;
    let new = match lead.rfind('\n') {
        Some(newline) => {
            let value = style.value(value, &lead[newline + 1..]);
            format!(",{lead}{name}: {value}")
        }
        None => format!(", {name}: {}", Style::one_line(value)),
    };
    splice(text, end, end, &new)
}

/// `value` in objects with the keys of `path`, the first outermost.
fn nested(path: &[&str], value: &serde_json::Value) -> serde_json::Value {
    path.iter().rev().fold(
        value.clone(),
        |inner, key| serde_json::json!({ *key: inner }),
    )
}

fn splice(text: &str, start: usize, end: usize, new: &str) -> String {
    [&text[..start], new, &text[end..]].concat()
}

fn syntax_error(text: &str, error: &serde_json::Error) -> EditError {
    let full = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let line_start = text
        .split_inclusive('\n')
        .take(error.line().saturating_sub(1))
        .map(str::len)
        .sum::<usize>();
    // serde_json counts bytes, and the column is that of the last byte it took.
    let mut offset = (line_start + error.column().saturating_sub(1)).min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let fault = EditError::at(
        text,
        offset,
        full.strip_suffix(&place).unwrap_or(&full).to_owned(),
    );
    match text[offset..].chars().next() {
        Some('/' | '#') => fault.with_hint("JSON has no comments"),
        _ => fault,
    }
}

fn refuse_duplicates(text: &str, object: &Object<'_>) -> Result<(), EditError> {
    let mut seen = std::collections::HashSet::new();
    for property in &object.properties {
        let name = property.name.as_str();
        if !seen.insert(name) {
            let message = format!("the key \"{name}\" is there twice");
            return Err(EditError::at(text, property.range().start, message));
        }
        refuse_duplicates_within(text, &property.value)?;
    }
    Ok(())
}

fn refuse_duplicates_within(text: &str, value: &Value<'_>) -> Result<(), EditError> {
    match value {
        Value::Object(object) => refuse_duplicates(text, object),
        Value::Array(array) => array
            .elements
            .iter()
            .try_for_each(|element| refuse_duplicates_within(text, element)),
        _ => Ok(()),
    }
}

fn kind(value: &Value<'_>) -> &'static str {
    match value {
        Value::StringLit(_) => "a string",
        Value::NumberLit(_) => "a number",
        Value::BooleanLit(_) => "true or false",
        Value::Object(_) => "an object",
        Value::Array(_) => "a list",
        Value::NullKeyword(_) => "null",
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
