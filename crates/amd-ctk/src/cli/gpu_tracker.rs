//! The command line of `amd-ctk gpu-tracker`.

use clap::{Args, Subcommand, ValueEnum};
use gpu_tracker::Access;

use crate::output::Format;

/// Arguments of `gpu-tracker`: GPUs and what to make of them, or a command.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    override_usage = "amd-ctk gpu-tracker <GPUS> <exclusive|shared>\n       \
                      amd-ctk gpu-tracker <COMMAND>"
)]
pub struct GpuTrackerArgs {
    /// What to do, if not to change access.
    #[command(subcommand)]
    pub command: Option<GpuTrackerCommand>,

    /// Which GPUs, as in AMD_VISIBLE_DEVICES: by index, range, UUID or PCI address, or all
    #[arg(value_name = "GPUS", required = true)]
    pub gpus: Option<String>,

    /// For how many containers they are
    #[arg(value_name = "ACCESS", value_enum, required = true)]
    pub access: Option<AccessArg>,
}

/// For how many containers a GPU is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AccessArg {
    /// One container at a time
    Exclusive,
    /// Any number of containers
    Shared,
}

impl From<AccessArg> for Access {
    fn from(access: AccessArg) -> Self {
        match access {
            AccessArg::Exclusive => Self::Exclusive,
            AccessArg::Shared => Self::Shared,
        }
    }
}

/// Commands on the tracker.
#[derive(Debug, Subcommand)]
pub enum GpuTrackerCommand {
    /// Switch the tracker on
    ///
    /// Containers with GPUs that run already are known to it. Settings of AMD's Go toolkit are
    /// taken over where there are none yet.
    Enable,

    /// Switch the tracker off; what is exclusive is kept for when it is on again
    Disable,

    /// Show the GPUs, whether they are exclusive or shared, and the containers that have them
    Status(StatusArgs),

    /// Make all GPUs shared, and mend settings that cannot be read
    Reset,

    /// Make the settings, where there are none: off, and all GPUs shared
    Init,

    /// Take the GPUs of a container off the record
    ///
    /// Not needed for containers that have ended, however they did: those hold nothing.
    Release(ReleaseArgs),
}

/// Arguments of `gpu-tracker status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// How the status is written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,

    /// Show it again and again, every so many seconds
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = seconds
    )]
    pub watch: Option<f64>,
}

/// Arguments of `gpu-tracker release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// The container, by its id or the beginning of it
    #[arg(value_name = "ID")]
    pub id: String,

    /// Also while the container runs and can go on to use them
    #[arg(long)]
    pub force: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.1..=86_400.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds, from 0.1 to 86400".to_owned()),
    }
}
