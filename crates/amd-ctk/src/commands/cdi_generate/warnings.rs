//! What a spec that is written lacks, or stands in the way of.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use discovery::cdi::Spec;
use discovery::{CDI_KIND, Gpu, HostRoot};

use crate::cdi::{SPEC_DIRS, is_spec_name, read_file, spec_paths};
use crate::error::CommandError;
use crate::output::Streams;

/// Warns of GPUs that only `all` has.
pub(super) fn warn_of_nameless(gpus: &[&Gpu], streams: &mut Streams<'_>) {
    for gpu in gpus {
        let (index, pci) = (gpu.index, gpu.pci);
        CommandError::new(
            anyhow!("GPU {index} ({pci}) has no UUID: only {CDI_KIND}=all has it"),
            Some("add `--device-name-strategy index` or `pci`".to_owned()),
        )
        .report("warning", streams.err);
    }
}

/// Warns of a name that engines do not look at.
pub(super) fn warn_of_ending(output: &Path, streams: &mut Streams<'_>) {
    if !is_spec_name(output) {
        CommandError::new(
            anyhow!("engines read no spec from {}", output.display()),
            Some("they read files that end in .json or .yaml".to_owned()),
        )
        .report("warning", streams.err);
    }
}

/// Warns of other specs that have the same names. Beside ours, engines refuse both; in a
/// directory that comes later, engines take the other.
pub(super) fn warn_of_duplicates(
    host: &HostRoot,
    output: &Path,
    spec: &Spec,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let mut dirs = spec_dirs(host).skip_while(|(_, dir)| dir_of(output).as_ref() != Some(dir));
    let Some(own) = dirs.next() else {
        return Ok(());
    };
    let beside = others_with_a_name(&own.0, output.file_name(), spec)?;
    warn_of_others(beside, "engines refuse a name that two files have", streams);
    for (later, _) in dirs.filter(|(_, dir)| *dir != own.1) {
        let others = others_with_a_name(&later, None, spec)?;
        warn_of_others(others, "engines take that one", streams);
    }
    Ok(())
}

/// The directories where engines look for specs, those that are there: as they are known, and
/// without symbolic links.
fn spec_dirs(host: &HostRoot) -> impl Iterator<Item = (PathBuf, PathBuf)> {
    SPEC_DIRS.iter().filter_map(|dir| {
        let known = host.resolve(dir).ok()?;
        let real = fs::canonicalize(&known).ok()?;
        Some((known, real))
    })
}

/// The directory of a file, without symbolic links.
fn dir_of(file: &Path) -> Option<PathBuf> {
    let parent = std::path::absolute(file).ok()?.parent()?.to_owned();
    fs::canonicalize(parent).ok()
}

/// The files of a directory, but for the one called `own`, that have a name of `spec`, and that
/// name.
fn others_with_a_name(
    dir: &Path,
    own: Option<&OsStr>,
    spec: &Spec,
) -> Result<Vec<(PathBuf, String)>, CommandError> {
    let is_ours = |name: &String| spec.devices.iter().any(|device| device.name == *name);
    let mut others = Vec::new();
    for path in spec_paths(dir)? {
        if path.file_name() == own {
            continue;
        }
        // A file that cannot be read offers nothing.
        let Ok(other) = read_file(&path).map(|file| file.document()) else {
            continue;
        };
        let mut names = other.devices.into_iter().map(|device| device.name);
        if other.kind == CDI_KIND
            && let Some(name) = names.find(is_ours)
        {
            others.push((path, name));
        }
    }
    Ok(others)
}

fn warn_of_others(others: Vec<(PathBuf, String)>, what: &str, streams: &mut Streams<'_>) {
    for (path, name) in others {
        let path = path.display();
        CommandError::new(
            anyhow!("{path} has {CDI_KIND}={name} too: {what}"),
            Some(format!("remove {path} if nobody needs it")),
        )
        .report("warning", streams.err);
    }
}
