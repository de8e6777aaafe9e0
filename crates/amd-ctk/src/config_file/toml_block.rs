//! Lines of ours in a TOML text, between two comments that say so. They come out again
//! without a trace, so no record of what was before is needed.
//!
//! ```toml
//! # >>> amd-ctk: default amd
//! #amd-ctk# default_runtime_name = "runc"
//! default_runtime_name = "amd"
//! # <<< amd-ctk: default amd
//! ```
//!
//! A line that a block replaces stands in it as a comment.

use std::ops::Range;

use super::EditError;

const REPLACED: &str = "#amd-ctk# ";

/// A block in a text.
#[derive(Debug)]
pub struct Block {
    /// From its first byte to its last, without the line ends around it.
    range: Range<usize>,
    /// The lines between the two comments.
    body: Range<usize>,
    /// The line that it replaces.
    replaced: Option<String>,
}

impl Block {
    /// The lines between the two comments, of the text in which the block was found.
    pub fn body<'t>(&self, text: &'t str) -> &'t str {
        &text[self.body.clone()]
    }

    /// `text`, in which the block was found, with other lines between the two comments.
    pub fn with_body(&self, text: &str, body: &str) -> String {
        let lines: String = body
            .lines()
            .flat_map(|line| [line, newline(text)])
            .collect();
        [&text[..self.body.start], &lines, &text[self.body.end..]].concat()
    }
}

/// The block `tag` of `text`.
///
/// # Errors
/// Where it has a beginning and no end.
pub fn find(text: &str, tag: &str) -> Result<Option<Block>, EditError> {
    let (begin, end) = markers(tag);
    let mut start = None;
    let mut replaced = None;
    let mut body = 0;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let content = line.strip_suffix('\n').unwrap_or(line);
        let content_end = offset + content.trim_end_matches('\r').len();
        match start {
            None if content.trim() == begin => {
                start = Some(offset);
                body = offset + line.len();
            }
            Some(start) if content.trim() == end => {
                return Ok(Some(Block {
                    range: start..content_end,
                    body: body..offset,
                    replaced,
                }));
            }
            Some(_) => {
                if let Some(old) = text[offset..content_end].strip_prefix(REPLACED) {
                    replaced = Some(old.to_owned());
                }
            }
            None => {}
        }
        offset += line.len();
    }
    match start {
        None => Ok(None),
        Some(start) => Err(
            EditError::at(text, start, format!("\"{begin}\" without its end")).with_hint(format!(
                "add the line \"{end}\" after the last line of ours"
            )),
        ),
    }
}

/// Whether `text` has a block whose tag begins with `tag`.
pub fn begins_in(text: &str, tag: &str) -> bool {
    let (begin, _) = markers(tag);
    text.lines().any(|line| line.starts_with(&begin))
}

/// `text` without the block `tag`, as it was before the block was put in.
///
/// # Errors
/// As [`find`].
pub fn cut(text: &str, tag: &str) -> Result<String, EditError> {
    let Some(block) = find(text, tag)? else {
        return Ok(text.to_owned());
    };
    let before = &text[..block.range.start];
    let after = &text[block.range.end..];
    Ok(match block.replaced {
        Some(old) => [before, &old, after].concat(),
        None => without_line_end(before).to_owned() + after,
    })
}

/// `text` without the block `tag` and without the line that it replaced.
///
/// # Errors
/// As [`find`].
pub fn cut_with_replaced(text: &str, tag: &str) -> Result<String, EditError> {
    let Some(Block { range, .. }) = find(text, tag)? else {
        return Ok(text.to_owned());
    };
    Ok(without_line_end(&text[..range.start]).to_owned() + &text[range.end..])
}

fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

/// `text` where the block `tag` has no lines of ours any more. What it replaced stays a
/// comment.
///
/// # Errors
/// As [`find`].
pub fn empty(text: &str, tag: &str) -> Result<String, EditError> {
    match find(text, tag)? {
        Some(Block {
            range,
            replaced: Some(old),
            ..
        }) => {
            let block = block(text, tag, Some(&old), "");
            Ok([&text[..range.start], &block, &text[range.end..]].concat())
        }
        _ => cut(text, tag),
    }
}

/// `text` with a block of the lines `body` at its end.
pub fn append(text: &str, tag: &str, body: &str) -> String {
    insert(text, without_line_end(text).len(), tag, body)
}

/// `text` with a block of the lines `body` after the line of byte `offset`.
pub fn insert_after(text: &str, offset: usize, tag: &str, body: &str) -> String {
    insert(text, line(text, offset).end, tag, body)
}

/// `text` with a block of the lines `body` in the place of the line of byte `offset`.
pub fn replace_line(text: &str, offset: usize, tag: &str, body: &str) -> String {
    let line = line(text, offset);
    let block = block(text, tag, Some(&text[line.clone()]), body);
    [&text[..line.start], &block, &text[line.end..]].concat()
}

/// The line of byte `offset`, without its end.
pub fn line(text: &str, offset: usize) -> Range<usize> {
    let start = text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[offset..]
        .find('\n')
        .map_or(text.len(), |newline| offset + newline);
    let content = text[start..end].trim_end_matches('\r');
    start..start + content.len()
}

fn insert(text: &str, at: usize, tag: &str, body: &str) -> String {
    let block = block(text, tag, None, body);
    [&text[..at], newline(text), &block, &text[at..]].concat()
}

fn block(text: &str, tag: &str, replaced: Option<&str>, body: &str) -> String {
    let (begin, end) = markers(tag);
    let replaced = replaced.map(|old| format!("{REPLACED}{old}"));
    let lines: Vec<_> = [begin.as_str()]
        .into_iter()
        .chain(replaced.as_deref())
        .chain(body.lines())
        .chain([end.as_str()])
        .collect();
    lines.join(newline(text))
}

fn markers(tag: &str) -> (String, String) {
    (
        format!("# >>> amd-ctk: {tag}"),
        format!("# <<< amd-ctk: {tag}"),
    )
}

fn newline(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_out_without_a_trace() {
        for text in [
            "",
            "\n",
            "a = 1",
            "a = 1\n",
            "a = 1\r\n",
            "a = 1\n\n\n",
            "[t]\nb = 2",
        ] {
            for with in [
                append(text, "x", "k = 1\n"),
                insert_after(text, 0, "x", "k = 1\n"),
            ] {
                assert!(with.contains("k = 1"), "{with}");
                assert_eq!(cut(&with, "x").unwrap(), text, "{with}");
            }
        }
    }

    #[test]
    fn a_replaced_line_comes_back() {
        for text in ["a = 1", "  a = 1 # so\r\nb = 2\r\n", "x = 0\na = 1"] {
            let with = replace_line(text, text.find("a =").unwrap(), "x", "a = 2\n");
            assert_eq!(cut(&with, "x").unwrap(), text, "{with}");
            let without = empty(&with, "x").unwrap();
            assert!(!without.contains("a = 2"), "{without}");
            assert_eq!(cut(&without, "x").unwrap(), text, "{without}");
            let without = cut_with_replaced(&with, "x").unwrap();
            assert!(!without.contains("a ="), "{without}");
        }
    }

    #[test]
    fn a_block_has_the_line_ends_of_its_text() {
        let with = append("a = 1\r\n", "x", "[t]\nk = 1\n");
        assert_eq!(
            with,
            "a = 1\r\n# >>> amd-ctk: x\r\n[t]\r\nk = 1\r\n# <<< amd-ctk: x\r\n"
        );
    }

    #[test]
    fn a_block_without_an_end_is_an_error_at_its_place() {
        let fault = cut("a = 1\n# >>> amd-ctk: x\nk = 1\n", "x").unwrap_err();
        assert_eq!(
            fault.to_string(),
            "line 2, column 1: \"# >>> amd-ctk: x\" without its end"
        );
    }
}
