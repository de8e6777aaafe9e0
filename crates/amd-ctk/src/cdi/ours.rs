//! Whether the file of a spec is ours to write anew.

use std::path::Path;

use anyhow::anyhow;
use discovery::CDI_KIND;

use super::{foreign, read_text};
use crate::error::CommandError;

/// How much of what is somebody else's is named.
const MOST_NAMED: usize = 3;

const NOT_OURS: &str =
    "name another file with --output, or replace this one with --force if nobody needs it";

/// Refuses a file with what neither we nor AMD's Go toolkit wrote; `text` is what is in it.
///
/// # Errors
/// Names what is somebody else's.
pub fn check_ours(path: &Path, text: &str) -> Result<(), CommandError> {
    if is_blank(text) {
        return Ok(());
    }
    let refused = |cause, hint: &str| Err(CommandError::new(cause, Some(hint.to_owned())));
    let found = match read_text(path, text) {
        Ok(found) => found,
        Err(error) => return refused(anyhow!("{error}: it stays as it is"), NOT_OURS),
    };
    let path = path.display();
    let kind = found.document().kind;
    if kind != CDI_KIND {
        let what = if kind.is_empty() {
            "is not a CDI spec".to_owned()
        } else {
            format!("is a CDI spec of {kind}")
        };
        return refused(anyhow!("{path} {what}, and stays as it is"), NOT_OURS);
    }
    let foreign = foreign(text, &found.value);
    if foreign.is_empty() {
        return Ok(());
    }
    refused(
        anyhow!(
            "{path} has {}, which amd-ctk did not write, and stays as it is",
            named(&foreign)
        ),
        "move what is yours into a spec file of its own, and replace this one with --force; or \
         name another file with --output",
    )
}

/// Whether a file says nothing: one that was made on a full disk, or, with nothing but NULs,
/// before the power went.
fn is_blank(text: &str) -> bool {
    text.chars()
        .all(|char| char.is_whitespace() || char == '\0')
}

/// The first of some things, and how many there are beside.
fn named(things: &[String]) -> String {
    let first = &things[..things.len().min(MOST_NAMED)];
    match things.len() - first.len() {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        check_ours(Path::new("amd.json"), text)
            .map_or_else(|error| error.to_string(), |()| "ours".to_owned())
    }

    #[test]
    fn a_file_that_says_nothing_is_nobodys() {
        for text in ["", "\n", " \t\n", "\0\0\0\0"] {
            assert_eq!(told(text), "ours", "{text:?}");
        }
    }

    #[test]
    fn of_much_that_is_foreign_some_is_named() {
        let text = r#"{"kind": "amd.com/gpu", "a": 1, "b": 2, "c": 3, "d": 4, "e": 5}"#;
        assert_eq!(
            told(text),
            "amd.json has the field \"a\", the field \"b\", the field \"c\" and 2 more, which \
             amd-ctk did not write, and stays as it is"
        );
    }
}
