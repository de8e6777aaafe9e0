//! What a spec that is written lacks, or stands in the way of.

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
    let dirs: Vec<PathBuf> = SPEC_DIRS
        .iter()
        .filter_map(|dir| host.resolve(dir).ok())
        .collect();
    let own_dir = dirs.iter().position(|dir| output.parent() == Some(dir));
    let Some(own_dir) = own_dir else {
        return Ok(());
    };
    let is_ours = |name: &String| spec.devices.iter().any(|device| device.name == *name);
    for dir in &dirs[own_dir..] {
        for path in spec_paths(dir)?.iter().filter(|path| **path != output) {
            // A file that cannot be read offers nothing.
            let Ok(other) = read_file(path).map(|file| file.document()) else {
                continue;
            };
            let mut names = other.devices.into_iter().map(|device| device.name);
            if other.kind == CDI_KIND
                && let Some(name) = names.find(is_ours)
            {
                let what = if *dir == dirs[own_dir] {
                    "engines refuse a name that two files have"
                } else {
                    "engines take that one"
                };
                let path = path.display();
                CommandError::new(
                    anyhow!("{path} has {CDI_KIND}={name} too: {what}"),
                    Some(format!("remove {path} if nobody needs it")),
                )
                .report("warning", streams.err);
            }
        }
    }
    Ok(())
}
