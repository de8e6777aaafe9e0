//! `checkpoint` and `restore`, with runc's command lines.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use super::bundle_dir::BundleDir;
use super::{Context, foreground};
use crate::ContainerId;
use crate::checkpoint::{CgroupsMode, CheckpointOptions, CriuOptions, PageServer, RestoreOptions};
use crate::spec::Bundle;

/// Checkpoint a container: write its processes to files, by CRIU
#[derive(Debug, clap::Args)]
pub struct CheckpointArgs {
    #[command(flatten)]
    criu: CriuArgs,
    /// Directory of the images of an earlier --pre-dump, relative to --image-path
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
    /// Descriptor that gets a zero byte once --lazy-pages can be asked for memory
    #[arg(long, value_name = "FD", allow_negative_numbers = true)]
    status_fd: Option<i32>,
    /// Address and port of the page server
    #[arg(long, value_name = "ADDRESS:PORT")]
    page_server: Option<PageServer>,
    /// Dump memory only and leave the container running
    #[arg(long)]
    pre_dump: bool,
    /// The container
    id: ContainerId,
}

/// Restore a container from a checkpoint, by CRIU
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    #[command(flatten)]
    criu: CriuArgs,
    #[command(flatten)]
    bundle_dir: BundleDir,
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
    /// Of no effect, as with runc: CRIU changes the root
    #[arg(long)]
    no_pivot: bool,
    /// LSM profile to be used on restore
    #[arg(long, value_name = "TYPE:NAME")]
    lsm_profile: Option<String>,
    /// LSM mount context to be used on restore
    #[arg(long, value_name = "CONTEXT")]
    lsm_mount_context: Option<String>,
    /// Name for the container, unique below --root
    id: ContainerId,
}

/// Options that both commands hand to CRIU.
#[derive(Debug, clap::Args)]
struct CriuArgs {
    /// Directory of the images [default: checkpoint, in the current directory]
    #[arg(
        long,
        value_name = "DIR",
        default_value = "checkpoint",
        hide_default_value = true
    )]
    image_path: PathBuf,
    /// Directory for work files and logs [default: that of the images]
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
    /// How cgroups are restored: soft, full, strict or ignore [default: soft]
    #[arg(long, value_name = "MODE", value_parser = cgroups_mode)]
    manage_cgroups_mode: Option<CgroupsMode>,
    /// Namespace to make without restoring its properties: network, which always is
    #[arg(long, value_name = "TYPE", value_parser = ["network"])]
    empty_ns: Vec<String>,
    /// Deduplicate memory images
    #[arg(long)]
    auto_dedup: bool,
}

fn cgroups_mode(mode: &str) -> Result<CgroupsMode> {
    Ok(match mode {
        "" | "soft" => CgroupsMode::Soft,
        "full" => CgroupsMode::Full,
        "strict" => CgroupsMode::Strict,
        "ignore" => CgroupsMode::Ignore,
        // runc's words.
        _ => bail!("Invalid manage-cgroups-mode value"),
    })
}

impl CriuArgs {
    fn options(self, context: &Context) -> Result<CriuOptions> {
        let absolute = |path: &Path| std::path::absolute(path).context("invalid path");
        Ok(CriuOptions {
            program: context.criu.clone(),
            image_path: absolute(&self.image_path)?,
            work_path: self.work_path.as_deref().map(absolute).transpose()?,
            tcp_established: self.tcp_established,
            ext_unix_sk: self.ext_unix_sk,
            shell_job: self.shell_job,
            lazy_pages: self.lazy_pages,
            file_locks: self.file_locks,
            cgroups_mode: self.manage_cgroups_mode.unwrap_or_default(),
            auto_dedup: self.auto_dedup,
        })
    }
}

impl CheckpointArgs {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        let options = CheckpointOptions {
            criu: self.criu.options(context)?,
            leave_running: self.leave_running,
            tcp_skip_in_flight: self.tcp_skip_in_flight,
            link_remap: self.link_remap,
            status_fd: self.status_fd.filter(|fd| *fd != -1),
            page_server: self.page_server,
            pre_dump: self.pre_dump,
            parent_path: self.parent_path,
        };
        context.runtime.checkpoint(&self.id, &options)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl RestoreArgs {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        let runtime = &context.runtime;
        let bundle = Bundle::load(&self.bundle_dir.bundle)?;
        let terminal = bundle.terminal();
        foreground::check_console(terminal, self.detach, self.console_socket.is_some())?;
        let options = RestoreOptions {
            criu: self.criu.options(context)?,
            pid_file: self.pid_file,
            console_socket: self.console_socket,
            lsm_profile: self.lsm_profile,
            lsm_mount_context: self.lsm_mount_context,
        };
        if self.detach {
            runtime.restore(&self.id, bundle, &options)?;
            return Ok(ExitCode::SUCCESS);
        }
        let restored = Cell::new(false);
        let restore = |console_socket| {
            let options = RestoreOptions {
                console_socket,
                ..options
            };
            let init = runtime.restore(&self.id, bundle, &options)?;
            restored.set(true);
            Ok(init)
        };
        let root = &context.root;
        let ended = foreground::attach(root, terminal, !self.no_subreaper, restore, || Ok(()));
        if restored.get() {
            let deleted = runtime.delete(&self.id, true);
            // The first error counts.
            if ended.is_ok() {
                deleted?;
            }
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_of_cgroups_are_runcs() {
        for (name, mode) in [
            ("", CgroupsMode::Soft),
            ("soft", CgroupsMode::Soft),
            ("full", CgroupsMode::Full),
            ("strict", CgroupsMode::Strict),
            ("ignore", CgroupsMode::Ignore),
        ] {
            assert_eq!(cgroups_mode(name).unwrap(), mode, "{name:?}");
        }
        assert!(cgroups_mode("none").is_err());
    }
}
