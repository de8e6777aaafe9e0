//! `amd-ctk runtime configure`: container engines that know our runtime.

use std::path::Path;

use anyhow::anyhow;

use super::{check_host_root, hidden, identify};
use crate::cli::GlobalArgs;
use crate::cli::runtime::ConfigureArgs;
use crate::config_file::ConfigError;
use crate::engines::{
    Engine, Plan, ProgramError, Request, Restart, RestartError, Settings, docker, find_program,
    plan,
};
use crate::error::CommandError;
use crate::output::Streams;

/// Changes an engine's configuration, or prints what would change, and says what is left to
/// do.
///
/// # Errors
/// Where the configuration cannot be read, understood or written, and where the running
/// engine cannot be told.
pub fn run(
    args: &ConfigureArgs,
    global: &GlobalArgs,
    streams: &mut Streams<'_>,
) -> Result<(), CommandError> {
    let host = check_host_root(global)?;
    let root = host.path();
    let swarm = swarm_resources(args, global, streams)?;
    let request = request(args, root, swarm)?;
    let plan = plan(
        args.runtime,
        root,
        args.config_path.as_deref(),
        &request,
        !args.dry_run,
    )?;
    let late = args.restart.then(|| plan.not_told(&request)).flatten();
    for note in plan.notes.iter().chain(&late) {
        CommandError::new(anyhow!("{note}"), None).report("note", streams.err);
    }
    if args.dry_run {
        return Ok(write!(streams.out, "{}", plan.diff())?);
    }
    let restarts = args.restart && plan.restart != Restart::None;
    if restarts && root != Path::new("/") {
        return Err(CommandError::new(
            anyhow!(
                "--restart: the engine runs on the host below {}",
                root.display()
            ),
            Some(format!("leave it out; on that host, {}", plan.restart)),
        ));
    }
    plan.carry_out()?;
    let changed: Vec<_> = plan.changed().collect();
    for path in &changed {
        writeln!(streams.out, "changed {}", path.display())?;
    }
    if !changed.is_empty() {
        if !restarts {
            return Ok(writeln!(streams.out, "{}", plan.restart)?);
        }
        return plan.restart.carry_out().map_err(restart_failed(&plan));
    }
    if !restarts {
        return Ok(writeln!(streams.out, "nothing to change")?);
    }
    // It may be that an earlier command could not tell the engine.
    writeln!(
        streams.out,
        "nothing to change; the engine is told all the same"
    )?;
    let told = plan.restart.carry_out().map_err(restart_failed(&plan));
    match (told, &request) {
        (Err(error), Request::UnsetDefault { .. } | Request::Remove { .. }) => {
            // The engine may not be there any more, or never was.
            error.report("warning", streams.err);
            Ok(())
        }
        (told, _) => told,
    }
}

/// The GPUs that Swarm is to know, each UUID once: partitions can share one.
fn swarm_resources(
    args: &ConfigureArgs,
    global: &GlobalArgs,
    streams: &mut Streams<'_>,
) -> Result<Vec<String>, CommandError> {
    let failed = |error, hint: &str| Err(CommandError::new(error, Some(hint.to_owned())));
    if !args.swarm {
        return Ok(Vec::new());
    }
    if args.runtime != Engine::Docker {
        return failed(anyhow!("--swarm is for docker alone"), "leave it out");
    }
    let (_, inventory) = identify(global)?;
    if inventory.hidden > 0 {
        return Err(hidden(inventory.hidden));
    }
    let mut resources: Vec<String> = Vec::new();
    for gpu in &inventory.gpus {
        let Some(uuid) = gpu.uuid else {
            let warning = anyhow!(
                "GPU {} ({}) has no UUID, and is not known to Swarm",
                gpu.index,
                gpu.pci
            );
            CommandError::new(warning, None).report("warning", streams.err);
            continue;
        };
        let resource = docker::resource(&uuid.to_string());
        if resources.contains(&resource) {
            let warning = anyhow!(
                "GPU {} shares the UUID {uuid} with another: a service that is \
                                   assigned it gets both",
                gpu.index
            );
            CommandError::new(warning, None).report("warning", streams.err);
        } else {
            resources.push(resource);
        }
    }
    if resources.is_empty() {
        return failed(
            anyhow!("--swarm: no GPU with a UUID on this host"),
            "`amd-ctk gpu list` shows what there is",
        );
    }
    Ok(resources)
}

fn request(args: &ConfigureArgs, root: &Path, swarm: Vec<String>) -> Result<Request, ProgramError> {
    let name = args.runtime_name.clone();
    if args.unset_as_default {
        return Ok(Request::UnsetDefault { name });
    }
    let path = find_program(root, args.runtime_path.as_deref(), !args.remove)?;
    Ok(if args.remove {
        Request::Remove { name, path }
    } else {
        Request::Configure(Settings {
            name,
            path,
            default: args.set_as_default,
            cdi: args.enable_cdi,
            swarm,
        })
    })
}

fn restart_failed(plan: &Plan) -> impl Fn(RestartError) -> CommandError {
    |error| CommandError::new(error, Some(plan.restart.to_string()))
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint();
        Self::new(error, hint)
    }
}

impl From<ProgramError> for CommandError {
    fn from(error: ProgramError) -> Self {
        let hint = error.hint();
        Self::new(error, hint)
    }
}
