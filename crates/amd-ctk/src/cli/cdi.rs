//! The commands on CDI devices.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use discovery::cdi::{NameStrategy, Version};

use crate::output::Format;

/// Commands on CDI devices.
#[derive(Debug, Subcommand)]
pub enum CdiCommand {
    /// Write the CDI spec, which tells engines of this host's GPUs
    ///
    /// With it `docker run --device amd.com/gpu=0`, podman, containerd and CRI-O give a
    /// container its GPUs without a runtime of ours. The file is written whole or not at all,
    /// and not touched when it is up to date. Numbers of device nodes are left to the engine,
    /// so it holds over a reboot.
    Generate(CdiGenerateArgs),

    /// List the names under which containers can ask for the GPUs, and their nodes
    ///
    /// Fails if a device node is missing: a container could not get that GPU.
    List(CdiListArgs),

    /// Check CDI specs: their form, and whether they fit this host
    ///
    /// Each line is one finding: `invalid` for what engines refuse, `duplicate` for a name
    /// that two files have, `missing` for a device node, `vanished` for a GPU, `renumbered`
    /// for an index that is another GPU now, `stale` for other nodes, numbers or groups than
    /// the host has now, `unlisted` for a GPU that no device has. Exits with 0 only if there
    /// is none.
    Validate(CdiValidateArgs),
}

/// Arguments of `cdi generate`.
#[derive(Debug, Args)]
pub struct CdiGenerateArgs {
    /// The file, or - for standard output [default: /etc/cdi/amd.json, below --host-root]
    #[arg(short, long, value_name = "PATH")]
    pub output: Option<PathBuf>,

    /// How it is written [default: yaml for a file that ends in .yaml, else json]
    #[arg(long, value_enum)]
    pub format: Option<SpecFormat>,

    /// What the devices are called, besides `all`; may be repeated
    #[arg(
        long,
        value_name = "STRATEGY",
        value_enum,
        value_delimiter = ',',
        default_value = "index"
    )]
    pub device_name_strategy: Vec<Naming>,

    /// The version of the spec [default: the lowest that it needs, 0.6.0 or 0.7.0]
    ///
    /// Engines refuse a spec of a version that they do not know: containerd 1.7 knows 0.5.0,
    /// docker 25 0.6.0. Below 0.6.0 there are no annotations, and so no device for builds.
    #[arg(long, value_name = "VERSION")]
    pub cdi_version: Option<Version>,

    /// Give a container's process the groups that own the nodes
    ///
    /// A process that is not root needs them. Takes CDI 0.7.0, and docker 29.5 or later;
    /// others can use `--group-add`.
    #[arg(long)]
    pub additional_gids: bool,

    /// Where the engine finds the host's /dev, if not at /dev: below this directory
    ///
    /// For an engine that itself runs in a container.
    #[arg(long, value_name = "PATH")]
    pub dev_root: Option<PathBuf>,

    /// Replace or remove the file whatever it says
    ///
    /// Without this, a file with what neither amd-ctk nor AMD's Go toolkit writes stays as it
    /// is: a device of another name, environment, mounts, other nodes, comments.
    #[arg(long)]
    pub force: bool,

    /// Remove the file where the host has no GPU, instead of failing
    ///
    /// For a service that writes the spec anew when GPUs come and go.
    #[arg(long)]
    pub remove_if_none: bool,
}

/// A language of spec files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SpecFormat {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// What devices are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Naming {
    /// amd.com/gpu=0, which docker's --gpus needs
    Index,
    /// amd.com/gpu=0xE3AA140F9A5F9E31; partitions that share a UUID are one device
    Uuid,
    /// amd.com/gpu=0000:05:00.0; the partitions of a board are one device
    Pci,
}

impl From<Naming> for NameStrategy {
    fn from(naming: Naming) -> Self {
        match naming {
            Naming::Index => Self::Index,
            Naming::Uuid => Self::Uuid,
            Naming::Pci => Self::Pci,
        }
    }
}

/// Arguments of `cdi list`.
#[derive(Debug, Args)]
pub struct CdiListArgs {
    /// List also what the spec files in this directory offer; may be repeated
    #[arg(long, value_name = "DIR")]
    pub spec_dir: Vec<PathBuf>,

    /// How the list is written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Arguments of `cdi validate`.
#[derive(Debug, Args)]
pub struct CdiValidateArgs {
    /// The file [default: those of kind amd.com/gpu in /etc/cdi and /var/run/cdi]
    #[arg(long, value_name = "FILE")]
    pub path: Option<PathBuf>,

    /// How the findings are written
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}
