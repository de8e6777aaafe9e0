//! `amd-ctk cdi generate`: the CDI spec of the host's GPUs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use discovery::cdi::{self, NameStrategy, Options, Spec, Version};
use discovery::{CDI_KIND, Gpu, HostRoot, Inventory};

use super::identify;
use crate::cdi::{SPEC_DIRS, is_spec_name, read_file, read_text, spec_paths};
use crate::cli::{CdiGenerateArgs, GlobalArgs, SpecFormat};
use crate::config_file::{ConfigError, ConfigFile};
use crate::error::CommandError;
use crate::output::{Streams, write_json, write_yaml};

const DEFAULT_OUTPUT: &str = "/etc/cdi/amd.json";

/// The name of a file that is standard output.
const STDOUT: &str = "-";

/// Engines read specs as whoever runs them, which can be a user without root.
const MODE: u32 = 0o644;

/// How often to look again at a file that others write.
const MOST_TRIES: u32 = 10;

/// Writes the spec, and says what came of it; `unchanged` where the file held it already.
///
/// # Errors
///
/// If the GPUs cannot be read, or there is none, or a node of one is missing, or the version
/// asked for is too low; if the file is not a spec of our kind, or cannot be written. The file
/// is as it was then.
pub fn run(
    args: &CdiGenerateArgs,
    global: &GlobalArgs,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let (host, inventory) = identify(global)?;
    let options = options(args)?;
    let output = args
        .output
        .clone()
        .unwrap_or_else(|| host.join(DEFAULT_OUTPUT));
    if args.remove_if_none && output == Path::new(STDOUT) {
        return Err(CommandError::new(
            anyhow!("--remove-if-none: standard output cannot be removed"),
            None,
        ));
    }
    if args.remove_if_none && inventory.gpus.is_empty() {
        return remove(&output, streams);
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
    let verb = if write(&output, &text)? {
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

fn options(args: &CdiGenerateArgs) -> Result<Options, CommandError> {
    if let Some(dir) = args.dev_root.as_ref().filter(|dir| !dir.is_absolute()) {
        return Err(CommandError::new(
            anyhow!("--dev-root {}: not an absolute path", dir.display()),
            None,
        ));
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

/// Writes the file, and tells whether it was another.
fn write(output: &Path, text: &str) -> Result<bool, CommandError> {
    let changed = persist(|| replace(output, Some(text)))?;
    let mode = fs::metadata(output).map(|meta| meta.permissions().mode() & 0o7777);
    if mode.is_ok_and(|mode| mode != MODE) {
        set_mode(output, MODE)?;
    }
    Ok(changed)
}

/// Removes a spec that names GPUs which are not there any more.
fn remove(output: &Path, streams: &mut Streams<'_>) -> Result<(), CommandError> {
    let verb = if persist(|| replace(output, None))? {
        "removed"
    } else {
        "unchanged: there is no"
    };
    Ok(writeln!(
        streams.out,
        "{verb} {} (no GPU)",
        output.display()
    )?)
}

/// A hotplug event and a boot service can both come here at once: who finds that the file
/// changed looks again.
fn persist(mut replace: impl FnMut() -> Result<bool, ReplaceError>) -> Result<bool, CommandError> {
    let mut tries = 0;
    loop {
        match replace() {
            Err(ReplaceError::Config(ConfigError::Changed(_))) if tries < MOST_TRIES => tries += 1,
            Err(ReplaceError::Config(error)) => return Err(error.into()),
            Err(ReplaceError::Command(error)) => return Err(error),
            Ok(changed) => return Ok(changed),
        }
    }
}

enum ReplaceError {
    Command(CommandError),
    Config(ConfigError),
}

/// Writes the file, or removes it where `text` is None, and tells whether that changed it.
fn replace(output: &Path, text: Option<&str>) -> Result<bool, ReplaceError> {
    let file = ConfigFile::read(output).map_err(ReplaceError::Config)?;
    if file.text() == text {
        return Ok(false);
    }
    if let Some(old) = file.text() {
        check_ours(output, old).map_err(ReplaceError::Command)?;
    }
    let made = missing_dirs(output);
    file.replace(text).map_err(ReplaceError::Config)?;
    // Whatever the umask is.
    for dir in made {
        set_mode(&dir, 0o755).map_err(ReplaceError::Command)?;
    }
    Ok(true)
}

fn missing_dirs(output: &Path) -> Vec<PathBuf> {
    output
        .ancestors()
        .skip(1)
        .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
        .map(Path::to_owned)
        .collect()
}

fn set_mode(path: &Path, mode: u32) -> Result<(), CommandError> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of {}", path.display()))
        .map_err(|cause| CommandError::new(cause, None))
}

/// Refuses a file that somebody else wrote.
fn check_ours(output: &Path, old: &str) -> Result<(), CommandError> {
    let path = output.display();
    let kind = match read_text(output, old) {
        Ok(found) => found.document().kind,
        Err(_) => String::new(),
    };
    if kind == CDI_KIND {
        return Ok(());
    }
    let what = if kind.is_empty() {
        "is not a CDI spec".to_owned()
    } else {
        format!("is a CDI spec of {kind}")
    };
    Err(CommandError::new(
        anyhow!("{path} {what}, and stays as it is"),
        Some("name another file with --output, or remove this one if nobody needs it".to_owned()),
    ))
}

fn warn_of_nameless(gpus: &[&Gpu], streams: &mut Streams<'_>) {
    for gpu in gpus {
        let (index, pci) = (gpu.index, gpu.pci);
        CommandError::new(
            anyhow!("GPU {index} ({pci}) has no UUID: only {CDI_KIND}=all has it"),
            Some("add `--device-name-strategy index` or `pci`".to_owned()),
        )
        .report("warning", streams.err);
    }
}

fn warn_of_ending(output: &Path, streams: &mut Streams<'_>) {
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
fn warn_of_duplicates(
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
