//! The command line of `amd-ctk system`.

use clap::{Args, Subcommand};

/// Commands that set a host up.
#[derive(Debug, Subcommand)]
pub enum SystemCommand {
    /// Say by a udev rule who may open /dev/kfd and the render nodes
    ///
    /// Writes /etc/udev/rules.d/71-amd-gpu-nodes.rules and applies it. The nodes of displays,
    /// /dev/dri/card*, are left as they are.
    UdevRules(UdevRulesArgs),

    /// Load the amdgpu driver, now and at every boot
    ///
    /// Writes /etc/modules-load.d/amd-gpu.conf and runs modprobe where the driver is not there.
    LoadModule(LoadModuleArgs),

    /// Have the CDI spec written anew when the GPUs change
    ///
    /// At boot, when a GPU comes or goes, and when a partition mode changes, by systemd and
    /// udev. Options of `amd-ctk cdi generate` are taken from OPTIONS in
    /// /etc/default/amd-cdi-refresh, which may be missing.
    CdiRefresh(CdiRefreshArgs),
}

/// What every command of `system` takes.
#[derive(Debug, Args)]
pub struct SetupArgs {
    /// Take out what this command put in; a file that was changed since is an error
    #[arg(long)]
    pub remove: bool,

    /// Print the files and change nothing
    #[arg(long, conflicts_with_all = ["remove", "dry_run", "files_only"])]
    pub print: bool,

    /// Print what would change, as a unified diff, and change nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Write or remove the files, and tell no running program
    ///
    /// For images, and hosts that --host-root names. It holds from the next boot on.
    #[arg(long)]
    pub files_only: bool,
}

/// Arguments of `system udev-rules`.
#[derive(Debug, Args)]
pub struct UdevRulesArgs {
    /// The nodes' mode: 0660, for their group alone, or 0666, for every user of the host
    #[arg(long, value_name = "MODE", default_value = "0660", value_parser = node_mode, conflicts_with = "remove")]
    pub mode: u32,

    /// The nodes' group
    #[arg(long, value_name = "NAME", default_value = "render", value_parser = group_name, conflicts_with = "remove")]
    pub group: String,

    /// How it is done.
    #[command(flatten)]
    pub setup: SetupArgs,
}

/// Arguments of `system load-module`.
#[derive(Debug, Args)]
pub struct LoadModuleArgs {
    /// How it is done.
    #[command(flatten)]
    pub setup: SetupArgs,
}

/// Arguments of `system cdi-refresh`.
#[derive(Debug, Args)]
pub struct CdiRefreshArgs {
    /// How it is done.
    #[command(flatten)]
    pub setup: SetupArgs,
}

fn node_mode(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mode @ (0o660 | 0o666)) => Ok(mode),
        _ => Err("it is 0660 or 0666".to_owned()),
    }
}

/// What shadow-utils takes for a group's name; a number is one that udev takes, too.
fn group_name(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('-') || !name.chars().all(plain) {
        return Err("a name is made of letters, digits, ., - and _".to_owned());
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_for_a_group_or_for_all() {
        for (text, mode) in [
            ("0660", Some(0o660)),
            ("666", Some(0o666)),
            ("0777", None),
            ("0000", None),
            ("rw", None),
            ("-1", None),
        ] {
            assert_eq!(node_mode(text).ok(), mode, "{text}");
        }
    }

    #[test]
    fn a_group_cannot_end_the_rule_that_it_is_written_to() {
        for (name, good) in [
            ("render", true),
            ("gpu-users_2", true),
            ("109", true),
            ("", false),
            ("-g", false),
            ("a\"", false),
            ("a b", false),
            ("a\n", false),
        ] {
            assert_eq!(group_name(name).is_ok(), good, "{name:?}");
        }
    }
}
