//! The call into libcontainer that builds a container from the effective bundle.

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::error::LibcontainerError;
use libcontainer::syscall::syscall::SyscallType;

use super::causes::Causes;
use super::joining::Joining;
use super::named_namespaces::NamedNamespaces;
use super::reap::reap_failed_build;
use crate::cgroup::hidden::Hidden;
use crate::error::chain;
use crate::mounts::Handover;
use crate::process::{Init, runc_log};
use crate::state::ContainerDir;

/// Why libcontainer could not build a container: its message with the innermost cause, in
/// one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BuildError(String);

impl BuildError {
    /// With this message, in one line.
    pub(super) fn new(message: String) -> Self {
        Self(message)
    }

    /// The failure of the root filesystem instead, where that is what failed: libcontainer
    /// knows of a hook only.
    pub fn or_of(self, rootfs: Option<&Handover>) -> Self {
        rootfs.and_then(Handover::failure).map_or(self, Self)
    }
}

/// What libcontainer is told beside the spec.
#[derive(Debug)]
pub struct BuildOptions<'a> {
    /// Whether to chroot where pivot_root(2) is not possible, as on a ramdisk.
    pub no_pivot: bool,
    /// How many descriptors from 3 on the program inherits.
    pub preserve_fds: u32,
    /// Where the forked processes write what went wrong.
    pub causes: &'a Causes,
}

/// A container to be built, by this process or a child of it.
pub struct Construction<'a> {
    pub dir: &'a ContainerDir,
    pub options: BuildOptions<'a>,
    pub joining: &'a Joining,
    pub handover: Option<&'a Handover>,
    pub named: NamedNamespaces,
    pub init: Init,
}

impl Construction<'_> {
    /// Builds it, from the mount namespace that its init is to start in; its program then waits for
    /// `start`. Returns the pid of its init.
    ///
    /// # Errors
    /// With what libcontainer says, and the cause that it keeps to itself; and where that namespace
    /// cannot be made.
    pub fn run(self) -> Result<i32, BuildError> {
        let failed = |err: &dyn std::error::Error| BuildError::new(chain(err));
        let hidden = self.joining.cover().map(Hidden::enter).transpose();
        let hidden = hidden.map_err(|err| failed(&err))?;
        let init = match &hidden {
            Some(hidden) => self.init.without(&hidden.descriptors()),
            None => self.init,
        };
        let by_init = self.handover.and_then(Handover::by_init);
        let init = match by_init.zip(hidden.as_ref().map(Hidden::root)) {
            Some((root, host)) => init.making(root, host),
            None => init,
        };
        let _stay = self.named.enter().map_err(|err| failed(&err))?;
        build_from(self.dir, &self.options, init)
    }
}

/// Has libcontainer build the container whose effective bundle is in `dir`, with the last steps `init`.
fn build_from(
    dir: &ContainerDir,
    options: &BuildOptions<'_>,
    init: Init,
) -> Result<i32, BuildError> {
    let build = || -> Result<i32, LibcontainerError> {
        let preserved = i32::try_from(options.preserve_fds).unwrap_or(i32::MAX);
        let container = ContainerBuilder::new(dir.id().to_string(), SyscallType::default())
            .with_root_path(dir.libcontainer_root())?
            .with_executor(init)
            .with_preserved_fds(preserved)
            .as_init(dir.path())
            .with_systemd(false)
            .with_detach(true)
            .with_no_pivot(options.no_pivot)
            .build()?;
        Ok(container.pid().map_or(0, |pid| pid.as_raw()))
    };
    runc_log::begins();
    let built = options.causes.watch(build);
    if built.is_ok() {
        runc_log::is_in_init();
        runc_log::is_created();
    }
    built.map_err(|err| {
        reap_failed_build();
        let message = chain(&err);
        match options.causes.innermost() {
            Some(cause) if cause.ours => BuildError(cause.text),
            Some(cause) if !message.contains(&cause.text) => {
                BuildError(format!("{message}: {}", cause.text))
            }
            _ => BuildError(message),
        }
    })
}
