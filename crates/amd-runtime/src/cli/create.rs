//! `create`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

use super::Context;
use super::bundle_dir::BundleDir;
use crate::{ContainerId, CreateOptions};

/// Create a container; its program starts with `start`
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub build: BuildArgs,
    /// Name for the container, unique below --root
    pub id: ContainerId,
}

/// Options that `create` and `run` have in common.
#[derive(Debug, clap::Args)]
pub struct BuildArgs {
    #[command(flatten)]
    pub bundle_dir: BundleDir,
    /// Unix socket that receives the terminal's descriptor
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// File to write the pid of the container's init to
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Do not use pivot_root, for a root filesystem on a ramdisk
    #[arg(long)]
    pub no_pivot: bool,
    /// Leave the container in the caller's session keyring
    #[arg(long)]
    pub no_new_keyring: bool,
    /// Number of descriptors from 3 on that the container inherits
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u16,
    /// Unix socket that receives a pidfd of the container's init
    #[arg(long, value_name = "SOCKET")]
    pub pidfd_socket: Option<PathBuf>,
}

impl BuildArgs {
    /// The options of the library, with paths that hold wherever libcontainer goes.
    pub fn options(&self) -> Result<CreateOptions> {
        let absolute = |path: &Option<PathBuf>| {
            path.as_deref()
                .map(std::path::absolute)
                .transpose()
                .context("invalid path")
        };
        Ok(CreateOptions {
            pid_file: absolute(&self.pid_file)?,
            console_socket: absolute(&self.console_socket)?,
            no_pivot: self.no_pivot,
            preserve_fds: self.preserve_fds.into(),
            pidfd_socket: absolute(&self.pidfd_socket)?,
            give_stdio: false,
            new_keyring: !self.no_new_keyring,
        })
    }
}

impl Args {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        let options = CreateOptions {
            give_stdio: true,
            ..self.build.options()?
        };
        context
            .runtime
            .create(&self.id, &self.build.bundle_dir.bundle, &options)?;
        Ok(ExitCode::SUCCESS)
    }
}
