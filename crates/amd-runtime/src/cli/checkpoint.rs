//! `checkpoint` and `restore`: runc's command lines, understood and refused.
//!
//! Both need CRIU and a spec that it can be told about; there is no part of either here. Whoever
//! asks for them gets to know that, and not that an option is unknown.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::ContainerId;
use anyhow::{Context as _, Result, bail, ensure};

use super::Context;

/// Checkpoint a container; not implemented
#[derive(Debug, clap::Args)]
pub struct CheckpointArgs {
    #[command(flatten)]
    criu: CriuArgs,
    /// Directory of the images of an earlier --pre-dump
    #[arg(long, value_name = "DIR")]
    parent_path: Option<PathBuf>,
    /// Leave the container running
    #[arg(long)]
    leave_running: bool,
    /// Skip TCP connections that are being made
    #[arg(long)]
    tcp_skip_in_flight: bool,
    /// Link unlinked files back where that is possible
    #[arg(long)]
    link_remap: bool,
    /// Descriptor to which CRIU writes once lazy pages are ready
    #[arg(long, value_name = "FD", allow_negative_numbers = true)]
    status_fd: Option<i32>,
    /// Address and port of the page server
    #[arg(long, value_name = "ADDRESS:PORT")]
    page_server: Option<String>,
    /// Dump memory only and leave the container running
    #[arg(long)]
    pre_dump: bool,
    /// The container
    id: ContainerId,
}

/// Restore a container from a checkpoint; not implemented
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    criu: CriuArgs,
    /// Directory of the bundle
    #[arg(short, long, value_name = "DIR")]
    bundle: Option<PathBuf>,
    /// Unix socket that receives the terminal's descriptor
    #[arg(long, value_name = "SOCKET")]
    console_socket: Option<PathBuf>,
    /// Do not wait for the program
    #[arg(short, long)]
    detach: bool,
    /// File to write the pid of the container's init to
    #[arg(long, value_name = "FILE")]
    pid_file: Option<PathBuf>,
    /// Do not reap processes whose parents have exited
    #[arg(long)]
    no_subreaper: bool,
    /// Do not use pivot_root
    #[arg(long)]
    no_pivot: bool,
    /// LSM profile to be used on restore
    #[arg(long, value_name = "TYPE:NAME")]
    lsm_profile: Option<String>,
    /// LSM mount context to be used on restore
    #[arg(long, value_name = "CONTEXT")]
    lsm_mount_context: Option<String>,
    /// The container
    id: ContainerId,
}

/// Options that both commands hand to CRIU.
#[derive(Debug, clap::Args)]
struct CriuArgs {
    /// Directory of the images
    #[arg(long, value_name = "DIR")]
    image_path: Option<PathBuf>,
    /// Directory for work files and logs
    #[arg(long, value_name = "DIR")]
    work_path: Option<PathBuf>,
    /// Allow open TCP connections
    #[arg(long)]
    tcp_established: bool,
    /// Allow external unix sockets
    #[arg(long)]
    ext_unix_sk: bool,
    /// Allow shell jobs
    #[arg(long)]
    shell_job: bool,
    /// Restore memory pages when they are needed
    #[arg(long)]
    lazy_pages: bool,
    /// Handle file locks
    #[arg(long)]
    file_locks: bool,
    /// How cgroups are restored: soft, full, strict or ignore
    #[arg(long, value_name = "MODE")]
    manage_cgroups_mode: Option<String>,
    /// Namespace to make without restoring its properties
    #[arg(long, value_name = "TYPE")]
    empty_ns: Vec<String>,
    /// Deduplicate memory images
    #[arg(long)]
    auto_dedup: bool,
}

impl CheckpointArgs {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        // A container that is not there is the first thing to say.
        context.runtime.state(&self.id)?;
        if let Some(parent) = &self.parent_path {
            // runc's words.
            ensure!(!parent.is_absolute(), "--parent-path must be relative");
            let images = self.criu.image_path.clone().unwrap_or_default();
            std::fs::read_dir(images.join(parent)).context("invalid --parent-path")?;
        }
        refuse("checkpoint")
    }
}

impl RestoreArgs {
    pub fn run(self) -> Result<ExitCode> {
        refuse("restore")
    }
}

fn refuse(command: &str) -> Result<ExitCode> {
    let installed = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join("criu").is_file()));
    if !installed {
        bail!("{command} needs CRIU, which is not installed (no program criu in PATH)");
    }
    bail!("{command} is not implemented: this runtime makes no checkpoints");
}
