//! `amd-ctk cdi generate`: the CDI spec of the host's GPUs.

mod file;
mod warnings;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use discovery::cdi::{self, NameStrategy, Options, Spec, Version};
use discovery::{HostRoot, Inventory};

use self::file::SpecFile;
use self::warnings::{warn_of_duplicates, warn_of_ending, warn_of_nameless};
use super::{identify, warn_of_hidden};
use crate::cdi::GENERATED;
use crate::cli::{CdiGenerateArgs, GlobalArgs, SpecFormat};
use crate::error::CommandError;
use crate::output::{Streams, write_json, write_yaml};

/// The name of a file that is standard output.
const STDOUT: &str = "-";

/// Writes the spec, and says what came of it; `unchanged` where the file held it already.
///
/// # Errors
///
/// If the GPUs cannot be read, or there is none, or a node of one is missing, or the version
/// asked for is too low; if the file has what somebody else put there, may have GPUs that are hidden
/// from this process, or cannot be written. The file is as it was then.
pub fn run(
    args: &CdiGenerateArgs,
    global: &GlobalArgs,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let (host, inventory) = identify(global)?;
    let options = options(args)?;
    let output = match &args.output {
        Some(output) => output.clone(),
        None => default_output(&host)?,
    };
    if args.remove_if_none && output == Path::new(STDOUT) {
        return Err(CommandError::new(
            anyhow!("--remove-if-none: standard output cannot be removed"),
            None,
        ));
    }
    warn_of_hidden(&inventory, streams.err);
    let file = SpecFile {
        path: &output,
        force: args.force,
        hidden: inventory.hidden,
    };
    if args.remove_if_none && inventory.gpus.is_empty() {
        return remove(file, streams);
    }
    let spec = cdi::generate(&host, &inventory, &options)?;
    let mut text = Vec::new();
    match args.format.unwrap_or_else(|| format_of(&output)) {
        SpecFormat::Json => write_json(&mut text, &spec)?,
        SpecFormat::Yaml => write_yaml(&mut text, &spec)?,
    }
    warn_of_nameless(&cdi::without_name(&inventory, &options.names), streams);
    if spec.cdi_version < Version::V0_6 {
        tracing::debug!("no annotations below CDI 0.6.0");
    }
    if output == Path::new(STDOUT) {
        return Ok(streams.out.write_all(&text)?);
    }
    let text = String::from_utf8(text)
        .context("a path in the spec is not UTF-8")
        .map_err(|cause| CommandError::new(cause, None))?;
    let verb = if file.write(&text)? {
        "wrote"
    } else {
        "unchanged:"
    };
    writeln!(
        streams.out,
        "{verb} {} ({})",
        output.display(),
        summary(&spec, &inventory)
    )?;
    warn_of_ending(&output, streams);
    warn_of_duplicates(&host, &output, &spec, streams)
}

fn default_output(host: &HostRoot) -> Result<PathBuf, CommandError> {
    host.place(GENERATED).map_err(|error| {
        let path = host.join(GENERATED);
        CommandError::new(
            anyhow!(error).context(format!("cannot follow the links of {}", path.display())),
            Some("correct the links, or name another file with --output".to_owned()),
        )
    })
}

fn options(args: &CdiGenerateArgs) -> Result<Options, CommandError> {
    if let Some(dir) = &args.dev_root {
        let refused = |why, hint: Option<&str>| {
            let cause = anyhow!("--dev-root {}: {why}", dir.display());
            Err(CommandError::new(cause, hint.map(str::to_owned)))
        };
        if !dir.is_absolute() {
            return refused("not an absolute path", None);
        }
        if dir.to_str().is_none() {
            let hint = "paths in a CDI spec are UTF-8: name a symbolic link to the directory";
            return refused("not UTF-8", Some(hint));
        }
    }
    Ok(Options {
        names: args
            .device_name_strategy
            .iter()
            .map(|&name| name.into())
            .collect::<Vec<NameStrategy>>(),
        additional_gids: args.additional_gids,
        dev_root: args.dev_root.clone(),
        version: args.cdi_version,
    })
}

fn format_of(output: &Path) -> SpecFormat {
    match output.extension() {
        Some(ending) if ending == "yaml" || ending == "yml" => SpecFormat::Yaml,
        _ => SpecFormat::Json,
    }
}

fn summary(spec: &Spec, inventory: &Inventory) -> String {
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let (gpus, devices) = (inventory.gpus.len(), spec.devices.len());
    format!(
        "CDI {}, {gpus} GPU{}, {devices} device{}",
        spec.cdi_version,
        plural(gpus),
        plural(devices)
    )
}

/// Removes a spec that names GPUs which are not there any more.
fn remove(file: SpecFile<'_>, streams: &mut Streams<'_>) -> Result<(), CommandError> {
    let verb = if file.remove()? {
        "removed"
    } else {
        "unchanged: there is no"
    };
    Ok(writeln!(
        streams.out,
        "{verb} {} (no GPU)",
        file.path.display()
    )?)
}
