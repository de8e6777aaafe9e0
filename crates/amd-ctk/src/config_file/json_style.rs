//! How new JSON is laid out so that it looks like what is there.

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

const INDENT: &str = "  ";

/// The layout of a text.
#[derive(Debug, PartialEq)]
pub struct Style {
    newline: &'static str,
    /// One level of indentation.
    indent: String,
    /// Whether the text is more than one line.
    lines: bool,
}

impl Style {
    /// That of `text`; two blanks a level where it does not tell.
    pub fn of(text: &str) -> Self {
        let trimmed = text.trim();
        let object = trimmed.strip_prefix('{').unwrap_or_default();
        let indent = object.find('"').and_then(|key| {
            let lead = &object[..key];
            lead.rfind('\n').map(|newline| &lead[newline + 1..])
        });
        let empty = object.trim_end_matches('}').trim().is_empty();
        Self {
            newline: if text.contains("\r\n") { "\r\n" } else { "\n" },
            indent: match indent {
                Some("") | None => INDENT.to_owned(),
                Some(indent) => indent.to_owned(),
            },
            lines: empty || trimmed.contains('\n'),
        }
    }

    /// A text of `value` alone.
    pub fn document(&self, value: &serde_json::Value) -> String {
        self.value(value, "") + self.newline
    }

    /// `value`, the first line of which is on a line indented by `indent`.
    pub fn value(&self, value: &serde_json::Value, indent: &str) -> String {
        if !self.lines {
            return Self::one_line(value);
        }
        let mut bytes = Vec::new();
        let formatter = PrettyFormatter::with_indent(self.indent.as_bytes());
        // Values of our own making: writing them to memory cannot fail.
        let _ = value.serialize(&mut Serializer::with_formatter(&mut bytes, formatter));
        String::from_utf8_lossy(&bytes).replace('\n', &format!("{}{indent}", self.newline))
    }

    /// `value` without a line break.
    pub fn one_line(value: &serde_json::Value) -> String {
        value.to_string()
    }

    /// What the line of byte `offset` begins with in blanks.
    pub fn line_indent<'t>(&self, text: &'t str, offset: usize) -> &'t str {
        let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let line = &text[start..];
        &line[..line.len() - line.trim_start_matches([' ', '\t']).len()]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn indentation_and_line_ends_are_those_of_the_text() {
        for (text, expected) in [
            ("{}", "{\n  \"a\": 1\n}"),
            ("{\n\t\"x\": 1\n}", "{\n\t\"a\": 1\n}"),
            ("{\r\n    \"x\": 1\r\n}", "{\r\n    \"a\": 1\r\n}"),
            ("{\"x\": 1}\n", "{\"a\":1}"),
        ] {
            assert_eq!(
                Style::of(text).value(&json!({"a": 1}), ""),
                expected,
                "{text:?}"
            );
        }
    }
}
