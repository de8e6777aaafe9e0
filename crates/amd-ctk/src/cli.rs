//! The command line. Man pages and shell completions are made from these
//! definitions, so they hold no logic.

mod cdi;
pub mod gpu_tracker;
pub mod runtime;
pub mod system;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::output::Format;

pub use cdi::{CdiCommand, CdiGenerateArgs, CdiListArgs, CdiValidateArgs, Naming, SpecFormat};

/// Finds AMD GPUs and tells container engines about them
#[derive(Debug, Parser)]
#[command(name = "amd-ctk", version, arg_required_else_help = true)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that may stand before or after the command.
#[derive(Debug, Args)]
pub struct GlobalArgs {
    /// Say on stderr what is done
    #[arg(short, long, global = true)]
    pub debug: bool,

    /// Look for the host's /sys, /dev and configuration files below this directory
    ///
    /// For a container that sees the host's files somewhere else, such as a
    /// privileged pod with the host's root mounted on /host.
    #[arg(long, value_name = "PATH", default_value = "/", global = true)]
    pub host_root: PathBuf,
}

/// A group of commands, or a command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at the AMD GPUs of this host
    #[command(subcommand)]
    Gpu(GpuCommand),

    /// The AMD GPUs as devices of the Container Device Interface (CDI)
    #[command(subcommand)]
    Cdi(CdiCommand),

    /// The OCI runtimes that container engines know
    #[command(subcommand)]
    Runtime(runtime::RuntimeCommand),

    /// `configure runtime`: the same as `runtime configure`
    #[command(subcommand, hide = true)]
    Configure(runtime::ConfigureCommand),

    /// Set this host up: device nodes, driver, CDI spec; each can be taken back
    #[command(subcommand)]
    System(system::SystemCommand),

    /// Who uses which GPU, and which GPUs are for one container at a time
    GpuTracker(gpu_tracker::GpuTrackerArgs),

    /// Check what containers need from this host to use its GPUs
    ///
    /// The exit code is 1 if a check failed or could not run, else 0: warnings are no failure.
    Doctor(DoctorArgs),

    /// Print the version
    Version,
}

/// Commands on GPUs.
#[derive(Debug, Subcommand)]
pub enum GpuCommand {
    /// List the GPUs in the order in which AMD_VISIBLE_DEVICES counts them
    List(GpuListArgs),

    /// Show all that is known of some GPUs
    Show(GpuShowArgs),
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// How the results are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Arguments of `gpu list`.
#[derive(Debug, Args)]
pub struct GpuListArgs {
    /// How the list is written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Arguments of `gpu show`.
#[derive(Debug, Args)]
pub struct GpuShowArgs {
    /// Which, as in AMD_VISIBLE_DEVICES: by index, range, UUID or PCI address, or all
    #[arg(value_name = "GPU", required = true)]
    pub gpus: Vec<String>,

    /// How they are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}
