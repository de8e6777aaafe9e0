//! The commands, a module each.

pub mod cdi_list;
pub mod gpu_list;

use std::io::Write;

use anyhow::anyhow;
use discovery::{HostRoot, Inventory};

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
        Command::Cdi(CdiCommand::List) => cdi_list::run(&cli.global, streams),
        Command::Version => Ok(writeln!(
            streams.out,
            "amd-ctk {}",
            env!("CARGO_PKG_VERSION")
        )?),
    }
}

/// The host that `--host-root` names, and its GPUs.
fn discover(global: &GlobalArgs) -> Result<(HostRoot, Inventory), CommandError> {
    let root = &global.host_root;
    if !root.is_dir() {
        // Without this, a mistyped path looks like a host without GPUs.
        return Err(CommandError::new(
            anyhow!("--host-root {}: no such directory", root.display()),
            None,
        ));
    }
    let host = HostRoot::new(root);
    let inventory = Inventory::discover(&host)?;
    tracing::debug!(host_root = %root.display(), gpus = inventory.gpus.len(), "GPUs discovered");
    Ok((host, inventory))
}

/// Says that there is no GPU to list.
fn warn_of_no_gpus(err: &mut dyn Write) {
    let hint =
        "`lspci -d 1002:` lists the AMD devices there are, `modprobe amdgpu` loads the driver";
    CommandError::new(
        anyhow!("no GPU with the amdgpu driver on this host"),
        Some(hint.to_owned()),
    )
    .report("warning", err);
}
