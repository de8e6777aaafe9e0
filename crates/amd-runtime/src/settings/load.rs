//! From a file to [`Settings`].

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{DEFAULT_PATH, Distrust, Settings, SettingsError, valid_keys};

impl Settings {
    /// Reads the settings from `path`, or from [`DEFAULT_PATH`] if `None`.
    ///
    /// The default file need not exist; one that was asked for must. Keys that the
    /// file leaves out have their defaults.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no valid TOML, has a key that does not exist
    /// or a value that its key cannot have; and, when run by root, if someone other
    /// than root can write it.
    pub fn load(path: Option<&Path>) -> Result<Self, SettingsError> {
        match path {
            Some(path) => parse(path, &read(path)?),
            None => load_optional(Path::new(DEFAULT_PATH)),
        }
    }
}

/// The defaults, if there is no such file.
pub(super) fn load_optional(path: &Path) -> Result<Settings, SettingsError> {
    match read(path) {
        Err(SettingsError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(Settings::default())
        }
        text => parse(path, &text?),
    }
}

/// Settings from the text of the file `path`, which only errors name.
pub(super) fn parse(path: &Path, text: &str) -> Result<Settings, SettingsError> {
    let invalid = |error: toml::de::Error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        SettingsError::Invalid {
            path: path.to_owned(),
            line,
            column,
            message: error.message().to_owned(),
        }
    };
    let table = DeTable::parse(text).map_err(invalid)?;
    if let Some(unknown) = first_unknown(table.get_ref()) {
        let (line, column) = position(text, unknown.offset);
        return Err(SettingsError::Unknown {
            path: path.to_owned(),
            line,
            column,
            what: unknown.what,
            name: unknown.name,
            valid: unknown.valid,
        });
    }
    Settings::deserialize(toml::de::Deserializer::from(table)).map_err(invalid)
}

struct UnknownName {
    offset: usize,
    what: String,
    name: String,
    valid: Vec<String>,
}

/// Serde refuses unknown fields too, but says neither which section it was in nor,
/// apart from its sentence, which names are valid.
fn first_unknown(table: &DeTable<'_>) -> Option<UnknownName> {
    let sections = valid_keys();
    let mut unknown = Vec::new();
    for (name, value) in table {
        match sections
            .iter()
            .find(|(section, _)| section == name.get_ref())
        {
            Some((section, keys)) => {
                unknown.extend(unknown_keys(section, keys, value.get_ref()));
            }
            None => unknown.push(UnknownName {
                offset: name.span().start,
                what: kind_of(value.get_ref()).to_owned(),
                name: name.get_ref().to_string(),
                valid: sections
                    .iter()
                    .map(|(section, _)| format!("[{section}]"))
                    .collect(),
            }),
        }
    }
    unknown.into_iter().min_by_key(|unknown| unknown.offset)
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    if value.is_table() { "section" } else { "key" }
}

fn unknown_keys<'a>(
    section: &'a str,
    keys: &'a [String],
    value: &'a DeValue<'_>,
) -> impl Iterator<Item = UnknownName> + 'a {
    let names = value.as_table().into_iter().flat_map(|table| table.keys());
    names
        .filter(|name| !keys.contains(&name.get_ref().to_string()))
        .map(move |name: &Spanned<_>| UnknownName {
            offset: name.span().start,
            what: format!("key in [{section}]"),
            name: name.get_ref().to_string(),
            valid: keys.to_vec(),
        })
}

/// Line and column (in characters) of a byte offset, both counted from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

fn read(path: &Path) -> Result<String, SettingsError> {
    let failed = |source| SettingsError::Read {
        path: path.to_owned(),
        source,
    };
    // O_NONBLOCK: a FIFO must fail below instead of waiting for a writer.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
        .map_err(failed)?;
    check(&file, path)?;
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Refuses what is not a file, and what an ordinary user could have written.
fn check(file: &File, path: &Path) -> Result<(), SettingsError> {
    let metadata = file.metadata().map_err(|source| SettingsError::Read {
        path: path.to_owned(),
        source,
    })?;
    if !metadata.is_file() {
        return Err(SettingsError::NotAFile {
            path: path.to_owned(),
        });
    }
    match distrust(metadata.uid(), metadata.mode()) {
        Some(distrust) if is_host_root() => Err(SettingsError::Untrusted {
            path: PathBuf::from(path),
            distrust,
        }),
        _ => Ok(()),
    }
}

/// Who besides root can write a file with this owner and these permission bits.
pub(super) fn distrust(uid: u32, mode: u32) -> Option<Distrust> {
    if uid != 0 {
        return Some(Distrust::Owner(uid));
    }
    (mode & 0o022 != 0).then_some(Distrust::Writable(mode & 0o7777))
}

/// Whether this is root of the host. Root of a user namespace is an ordinary user
/// outside, for whom the host's files belong to the overflow uid.
fn is_host_root() -> bool {
    nix::unistd::geteuid().is_root()
        && std::fs::read_to_string("/proc/self/uid_map").map_or(true, |map| {
            map.split_whitespace().eq(["0", "0", "4294967295"])
        })
}
