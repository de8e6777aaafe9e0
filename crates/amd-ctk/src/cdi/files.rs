//! Reads spec files, as consumers look for them.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use nix::fcntl::OFlag;
use serde_json::Value;

use super::{Document, faults};
use crate::error::CommandError;

/// Where consumers look for specs: for those of the administrator, and for generated ones,
/// which win over the others.
pub const SPEC_DIRS: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

/// Where `amd-ctk cdi generate` writes, unless it is told another place.
pub const GENERATED: &str = "/etc/cdi/amd.json";

/// More than any spec: one of 64 GPUs has some 20 kB.
const MOST_BYTES: u64 = 16 << 20;

/// A file that holds a CDI spec.
#[derive(Debug, Clone)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// What it holds, whether consumers take it or not.
    pub value: Value,
}

impl Found {
    /// What the spec offers.
    pub fn document(&self) -> Document {
        Document::of(&self.value)
    }

    /// What it offers, if consumers take it.
    ///
    /// # Errors
    /// Names the first fault.
    pub fn valid_document(&self) -> Result<Document, CommandError> {
        match faults(&self.value).as_slice() {
            [] => Ok(self.document()),
            [first, rest @ ..] => {
                let more = match rest.len() {
                    0 => String::new(),
                    more => format!(" (and {more} more)"),
                };
                let path = self.path.display();
                Err(CommandError::new(
                    anyhow!("{path} is no valid CDI spec: {first}{more}"),
                    Some(format!(
                        "`amd-ctk cdi validate --path {path}` lists what is wrong"
                    )),
                ))
            }
        }
    }
}

/// The files of a directory that consumers would read, `.json` and `.yaml`, by name; none
/// where there is no such directory.
///
/// # Errors
/// Where the directory cannot be read.
pub fn spec_paths(dir: &Path) -> Result<Vec<PathBuf>, CommandError> {
    let failed = |error| {
        let cause = anyhow::Error::new(error).context(format!("cannot read {}", dir.display()));
        CommandError::new(cause, None)
    };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(failed)?;
    paths.retain(|path| is_spec_name(path) && path.is_file());
    paths.sort();
    Ok(paths)
}

/// Reads the [`spec_paths`] of a directory. A file that cannot be read or parsed is an error
/// of its own, beside the others.
///
/// # Errors
/// Where the directory cannot be read.
pub fn read_dir(dir: &Path) -> Result<Vec<Result<Found, CommandError>>, CommandError> {
    Ok(spec_paths(dir)?
        .iter()
        .map(|path| read_file(path))
        .collect())
}

/// Whether consumers look at a file of this name.
pub(crate) fn is_spec_name(path: &Path) -> bool {
    path.extension()
        .is_some_and(|ending| ending == "json" || ending == "yaml")
}

/// Reads one file.
///
/// # Errors
/// Where it cannot be read, or is neither JSON nor YAML.
pub fn read_file(path: &Path) -> Result<Found, CommandError> {
    let text = regular_text(path).map_err(|(error, hint)| {
        let cause = error.context(format!("cannot read {}", path.display()));
        CommandError::new(cause, hint.map(str::to_owned))
    })?;
    read_text(path, &text)
}

/// The text of a regular file. Another kind of file, such as a named pipe, can keep its reader
/// waiting, or have no end.
fn regular_text(path: &Path) -> Result<String, (anyhow::Error, Option<&'static str>)> {
    const NO_SPEC: Option<&str> = Some("name a file that holds a CDI spec");
    let failed = |error: io::Error| (anyhow!(error), None);
    let file = File::options()
        .read(true)
        // Or opening a named pipe waits for a writer.
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)
        .map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err((anyhow!("not a regular file"), NO_SPEC));
    }
    let mut text = String::new();
    let read = file.take(MOST_BYTES + 1).read_to_string(&mut text);
    match read.map_err(failed)? as u64 {
        0..=MOST_BYTES => Ok(text),
        _ => Err((anyhow!("it is larger than 16 MiB"), NO_SPEC)),
    }
}

/// Reads the text of the file `path`. Consumers take all of it for YAML, of which JSON is a
/// part, and refuse what has a key twice.
///
/// # Errors
/// Where it is neither.
pub fn read_text(path: &Path, text: &str) -> Result<Found, CommandError> {
    let not_yaml = match serde_saphyr::from_str(text) {
        Ok(value) => {
            return Ok(Found {
                path: path.to_owned(),
                value,
            });
        }
        Err(error) => error,
    };
    let is_json = path.extension().is_some_and(|ending| ending == "json");
    let not_json = serde_json::from_str::<Value>(text).err();
    let cause = match (not_json, is_json) {
        (Some(error), true) => anyhow!(error).context(format!("{} is not JSON", path.display())),
        _ => {
            // The first line says what and where; a picture of the text follows.
            let message = not_yaml.to_string();
            let first = message.lines().next().unwrap_or_default().to_owned();
            anyhow!(first).context(format!("{} is not YAML", path.display()))
        }
    };
    let hint = "correct it, or remove it if nobody needs it: engines cannot read it either";
    Err(CommandError::new(cause, Some(hint.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, text: &str) -> String {
        read_text(Path::new(name), text)
            .map_or_else(|error| error.to_string(), |found| found.value.to_string())
    }

    #[test]
    fn json_and_yaml_are_read_whatever_the_name() {
        for name in ["a.json", "a.yaml"] {
            assert_eq!(told(name, "a: [b]\n"), r#"{"a":["b"]}"#);
            assert_eq!(
                told(name, "{\n\t\"a\": [\n\t\t\"b\\/\\u0063\"]}\n"),
                r#"{"a":["b/c"]}"#
            );
        }
    }

    #[test]
    fn what_is_neither_is_said_with_its_place() {
        assert_eq!(
            told("a.json", "{\"a\": 1"),
            "a.json is not JSON: EOF while parsing an object at line 1 column 7"
        );
        let message = told("a.yaml", "a: 1\nb: [");
        assert!(message.starts_with("a.yaml is not YAML: "), "{message}");
        assert!(message.contains("line 2"), "{message}");
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused_as_by_consumers() {
        for name in ["a.json", "a.yaml"] {
            let message = told(name, "{\"a\": 1,\n\"a\": 2}");
            assert!(message.contains("duplicate"), "{message}");
        }
    }
}
