//! The commands, a module each.

pub mod cdi_generate;
pub mod cdi_list;
pub mod cdi_validate;
pub mod doctor;
pub mod gpu_list;
pub mod gpu_show;
pub mod gpu_tracker;
mod listing;
pub mod runtime_configure;
pub mod system;

use std::io::Write;

use anyhow::anyhow;
use discovery::selection::{self, Asked};
use discovery::{DiscoveryError, HostRoot, Inventory};

use crate::cli::runtime::{ConfigureCommand, RuntimeCommand};
use crate::cli::{CdiCommand, Cli, Command, GlobalArgs, GpuCommand};
use crate::error::CommandError;
use crate::output::Streams;

/// Runs the command that `cli` names.
///
/// # Errors
///
/// What stopped the command; nothing of it was printed yet.
pub fn run(cli: &Cli, streams: &mut Streams<'_>) -> Result<(), CommandError> {
    match &cli.command {
        Command::Gpu(GpuCommand::List(args)) => gpu_list::run(args, &cli.global, streams),
        Command::Gpu(GpuCommand::Show(args)) => gpu_show::run(args, &cli.global, streams),
        Command::Cdi(CdiCommand::Generate(args)) => cdi_generate::run(args, &cli.global, streams),
        Command::Cdi(CdiCommand::List(args)) => cdi_list::run(args, &cli.global, streams),
        Command::Cdi(CdiCommand::Validate(args)) => cdi_validate::run(args, &cli.global, streams),
        Command::Runtime(RuntimeCommand::Configure(args))
        | Command::Configure(ConfigureCommand::Runtime(args)) => {
            runtime_configure::run(args, &cli.global, streams)
        }
        Command::System(command) => system::run(command, &cli.global, streams),
        Command::GpuTracker(args) => gpu_tracker::run(args, &cli.global, streams),
        Command::Doctor(args) => doctor::run(args, &cli.global, streams),
        Command::Version => Ok(writeln!(
            streams.out,
            "amd-ctk {}",
            env!("CARGO_PKG_VERSION")
        )?),
    }
}

/// The host that `--host-root` names.
fn check_host_root(global: &GlobalArgs) -> Result<HostRoot, CommandError> {
    let root = &global.host_root;
    if !root.is_dir() {
        // Without this, a mistyped path looks like a host without GPUs.
        return Err(CommandError::new(
            anyhow!("--host-root {}: no such directory", root.display()),
            None,
        ));
    }
    Ok(HostRoot::new(root))
}

/// The host that `--host-root` names, and its GPUs.
fn discover(global: &GlobalArgs) -> Result<(HostRoot, Inventory), CommandError> {
    inventory(global, Inventory::discover)
}

/// As [`discover`], with only what tells GPUs apart and what a container gets.
fn identify(global: &GlobalArgs) -> Result<(HostRoot, Inventory), CommandError> {
    inventory(global, Inventory::identify)
}

fn inventory(
    global: &GlobalArgs,
    read: impl Fn(&HostRoot) -> Result<Inventory, DiscoveryError>,
) -> Result<(HostRoot, Inventory), CommandError> {
    let host = check_host_root(global)?;
    let inventory = read(&host)?;
    let root = host.path().display();
    tracing::debug!(host_root = %root, gpus = inventory.gpus.len(), "GPUs discovered");
    Ok((host, inventory))
}

/// The indices of the GPUs that `asked` names, as in AMD_VISIBLE_DEVICES; one at least.
fn select(asked: &str, inventory: &Inventory) -> Result<Vec<usize>, CommandError> {
    let Asked::Gpus(request) = selection::parse(asked) else {
        return Err(CommandError::new(
            anyhow!("{asked:?} asks for no GPU"),
            Some("name GPUs by index, UUID or PCI address, or all of them by `all`".to_owned()),
        ));
    };
    request
        .resolve(inventory)
        .strict(inventory)
        .map_err(|error| {
            let hint = error.hint();
            CommandError::new(error, hint)
        })
}

/// Says that GPUs are not listed because KFD hides them, or that there is none to list.
fn warn_of_missing(inventory: &Inventory, err: &mut dyn Write) {
    warn_of_hidden(inventory, err);
    if inventory.hidden > 0 || !inventory.gpus.is_empty() {
        return;
    }
    let hint =
        "`lspci -d 1002:` lists the AMD devices there are, `modprobe amdgpu` loads the driver";
    CommandError::new(
        anyhow!("no GPU with the amdgpu driver on this host"),
        Some(hint.to_owned()),
    )
    .report("warning", err);
}

/// Says that GPUs are not listed because KFD hides them.
fn warn_of_hidden(inventory: &Inventory, err: &mut dyn Write) {
    if inventory.hidden > 0 {
        hidden(inventory.hidden).report("warning", err);
    }
}

/// Says that GPUs are hidden from this process, and what that means for the others.
fn hidden(count: usize) -> CommandError {
    let plural = if count == 1 { "" } else { "s" };
    CommandError::new(
        anyhow!(
            "KFD hides {count} GPU{plural} from this process, as its device cgroup denies their \
             nodes: the others are numbered without them"
        ),
        Some("in a container that is meant so; for the numbers of the host, run it there".into()),
    )
}
