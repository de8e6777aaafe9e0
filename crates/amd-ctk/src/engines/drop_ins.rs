//! The files of an engine beside the one that we edit.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use discovery::HostRoot;

use super::toml_files::refuse_entry;
use crate::config_file::toml::Document;
use crate::config_file::{ConfigError, ConfigFile};

/// The files of a directory of drop-ins on the host below `root`, by their paths on that host
/// and in the order of their names; none where there is no such directory.
///
/// # Errors
/// Where the directory cannot be read.
pub fn drop_ins(root: &Path, dir: &Path) -> Result<Vec<PathBuf>, ConfigError> {
    let host = HostRoot::new(root);
    let shown = host.join(dir);
    let failed = |error| ConfigError::io("list", &shown, error);
    let place = host.place(dir).map_err(failed)?;
    let mut files = match fs::read_dir(place) {
        Ok(entries) => entries
            .map(|entry| entry.map(|entry| dir.join(entry.file_name())))
            .collect::<io::Result<Vec<_>>>()
            .map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed(error)),
    };
    files.retain(|path| host.resolve(path).is_ok_and(|path| path.is_file()));
    files.sort();
    Ok(files)
}

/// `files` on the host below `root` but for `own`, which is as this process finds it.
pub fn without_own(root: &Path, mut files: Vec<PathBuf>, own: &Path) -> Vec<PathBuf> {
    let host = HostRoot::new(root);
    files.retain(|path| host.join(path) != own);
    files
}

/// Fails where one of `files` on the host below `root` has an entry at `path`: ours would hide
/// it.
///
/// # Errors
/// That, and where a file cannot be read or is not TOML.
pub fn refuse_entries(root: &Path, files: &[PathBuf], path: &[&str]) -> Result<(), ConfigError> {
    files.iter().try_for_each(|file| {
        let file = ConfigFile::read_below(root, file)?;
        refuse_entry(file.text().unwrap_or_default(), path)
            .map_err(|error| ConfigError::content(file.path(), error))
    })
}

/// The keys of the table at `path` in `files` on the host below `root`. A file that cannot be
/// read has none: whoever asks takes ours out, and somebody else's fault is no reason not to.
pub fn names(root: &Path, files: &[PathBuf], path: &[&str]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files {
        let Ok(file) = ConfigFile::read_below(root, file) else {
            continue;
        };
        let Ok(document) = Document::parse(file.text().unwrap_or_default()) else {
            continue;
        };
        if let Ok(Some(table)) = document.table(path) {
            names.extend(table.iter().map(|(key, _)| key.to_owned()));
        }
    }
    names
}
