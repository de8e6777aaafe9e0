//! The command line of `amd-ctk runtime`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::engines::Engine;

/// Commands on container engines' OCI runtimes.
#[derive(Debug, Subcommand)]
pub enum RuntimeCommand {
    /// Make amd-container-runtime known to a container engine, or undo that
    ///
    /// Changes what belongs to the runtime and keeps every other byte of the engine's
    /// configuration; --remove gives back the file that was there before.
    Configure(ConfigureArgs),
}

/// `configure runtime`, the order in which AMD's manuals have the words.
#[derive(Debug, Subcommand)]
pub enum ConfigureCommand {
    /// The same as `runtime configure`
    Runtime(ConfigureArgs),
}

/// Arguments of `runtime configure`.
#[derive(Debug, Args)]
pub struct ConfigureArgs {
    /// The container engine
    #[arg(long, value_enum, default_value_t = Engine::Docker, value_name = "ENGINE")]
    pub runtime: Engine,

    /// The configuration file to edit, instead of the one that the engine reads on the host
    /// below --host-root
    ///
    /// /etc/docker/daemon.json, /etc/containerd/config.toml (or a drop-in in
    /// /etc/containerd/conf.d where it imports those),
    /// /etc/crio/crio.conf.d/99-amd.conf or /etc/containers/containers.conf.d/99-amd.conf.
    #[arg(long, value_name = "FILE")]
    pub config_path: Option<PathBuf>,

    /// The program that the engine is to run, by its path or as a program in PATH
    ///
    /// By default amd-container-runtime, in PATH, beside amd-ctk, or in /usr/bin.
    #[arg(long, value_name = "PROGRAM")]
    pub runtime_path: Option<PathBuf>,

    /// The name under which containers ask for the runtime
    #[arg(long, value_name = "NAME", default_value = "amd", value_parser = runtime_name)]
    pub runtime_name: String,

    /// Also make it the runtime of containers that ask for none
    #[arg(long, alias = "amd-set-as-default")]
    pub set_as_default: bool,

    /// Only take it out as the default runtime; no other one is set
    #[arg(
        long,
        alias = "unset-amd-as-default",
        conflicts_with_all = ["set_as_default", "remove", "enable_cdi", "swarm"]
    )]
    pub unset_as_default: bool,

    /// Take out all that this command put in
    #[arg(long, conflicts_with_all = ["set_as_default", "enable_cdi", "swarm"])]
    pub remove: bool,

    /// Also switch on the engine's support of CDI devices
    #[arg(long)]
    pub enable_cdi: bool,

    /// Docker: also let Swarm assign this host's GPUs to services, each by its UUID
    ///
    /// Writes node-generic-resources. A service then asks for GPUs by
    /// `--generic-resource AMD_GPU=N`. Again after a change of the GPUs or of their partitions.
    #[arg(long)]
    pub swarm: bool,

    /// Print what would change, as a unified diff, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Make the running engine read its configuration anew, also where nothing changed
    #[arg(long, conflicts_with = "dry_run")]
    pub restart: bool,
}

/// Engines' own runtimes, and shims by containerd's names, cannot be named anew.
fn runtime_name(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || !name.chars().all(plain) {
        return Err("a name is made of letters, digits, - and _".to_owned());
    }
    if matches!(name, "runc" | "crun") {
        return Err("that is the name of an engine's own runtime".to_owned());
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_not_an_engines_own() {
        for (name, good) in [
            ("amd", true),
            ("amd-2_x", true),
            ("", false),
            ("a b", false),
            ("io.containerd.runc.v2", false),
            ("a\"", false),
            ("runc", false),
        ] {
            assert_eq!(runtime_name(name).is_ok(), good, "{name:?}");
        }
    }
}
