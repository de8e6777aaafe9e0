//! The call into libcontainer that builds a container from the effective bundle.

use std::path::Path;

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;

use super::causes::Causes;
use super::executor::Program;
use super::reap::reap_failed_build;
use crate::error::chain;
use crate::mounts::Handover;
use crate::state::ContainerDir;

/// Why libcontainer could not build a container or start a process in one: its
/// message with the innermost cause, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(String);

impl BuildError {
    /// The failure of the root filesystem instead, where that is what failed: libcontainer
    /// knows of a hook only.
    pub fn or_of(self, rootfs: Option<&Handover>) -> Self {
        rootfs.and_then(Handover::failure).map_or(self, Self)
    }
}

/// What libcontainer is told beside the spec.
#[derive(Clone, Copy, Debug)]
pub struct BuildOptions<'a> {
    /// Whether systemd makes the cgroup.
    pub systemd_cgroup: bool,
    /// Whether to chroot where pivot_root(2) is not possible, as on a ramdisk.
    pub no_pivot: bool,
    /// How many descriptors from 3 on the program inherits.
    pub preserve_fds: i32,
    /// The socket to which the terminal is sent, for a process that wants one.
    pub console_socket: Option<&'a Path>,
}

/// Builds the container whose effective bundle is in `dir`; its program then waits
/// for `start`. Returns the pid of its init.
///
/// # Errors
/// With what libcontainer says, and the cause that it keeps to itself.
pub fn build(dir: &ContainerDir, options: &BuildOptions<'_>) -> Result<i32, BuildError> {
    with_causes(|| {
        let container = base(dir, options)?
            .as_init(dir.path())
            .with_systemd(options.systemd_cgroup)
            .with_detach(true)
            .with_no_pivot(options.no_pivot)
            .build()?;
        Ok(container.pid().map_or(0, |pid| pid.as_raw()))
    })
}

/// The part of a builder that `create` and `exec` have in common.
///
/// # Errors
/// Where the state directory cannot be resolved.
pub fn base(
    dir: &ContainerDir,
    options: &BuildOptions<'_>,
) -> Result<ContainerBuilder, libcontainer::error::LibcontainerError> {
    Ok(
        ContainerBuilder::new(dir.id().to_string(), SyscallType::default())
            .with_root_path(dir.libcontainer_root())?
            .with_executor(Program::default())
            .with_preserved_fds(options.preserve_fds)
            .with_console_socket(options.console_socket),
    )
}

/// Runs a build of libcontainer and completes its error.
///
/// # Errors
/// As `build`, completed.
pub fn with_causes<T>(
    build: impl FnOnce() -> Result<T, libcontainer::error::LibcontainerError>,
) -> Result<T, BuildError> {
    let causes = Causes::new().map_err(|err| BuildError(format!("memfd_create: {err}")))?;
    causes.watch(build).map_err(|err| {
        reap_failed_build();
        let message = chain(&err);
        match causes.innermost() {
            Some(cause) if cause.ours => BuildError(cause.text),
            Some(cause) if !message.contains(&cause.text) => {
                BuildError(format!("{message}: {}", cause.text))
            }
            _ => BuildError(message),
        }
    })
}
