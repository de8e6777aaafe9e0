//! What can go wrong, as callers of the library see it.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;

use crate::cgroup::CgroupError;
use crate::checkpoint::CheckpointError;
use crate::device_cgroup::{DeviceCgroupError, RuleError};
use crate::hooks::HookError;
use crate::id::InvalidId;
use crate::lifecycle::BuildError;
use crate::seccomp::SeccompError;
use crate::spec::SpecError;
use crate::state::StateError;

/// The result of a command on a container.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a command on a container failed.
///
/// `Display` names the thing that failed; [`chain`] adds the causes below it, and
/// [`Error::hint`] says what can be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The id cannot name a container.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The bundle or its spec is refused.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The container's state cannot be read, locked or written.
    #[error(transparent)]
    State(#[from] StateError),
    /// The GPUs of this host could not be found out.
    #[error("cannot find the AMD GPUs of this host")]
    Discovery(#[from] discovery::DiscoveryError),
    /// The container asks for GPUs that are not here.
    #[error("cannot give the container the GPUs that it asks for")]
    UnknownGpu(#[from] discovery::selection::UnknownGpu),
    /// The device nodes of a GPU are missing or are no device nodes.
    #[error("cannot give the container its GPUs")]
    Edits(#[from] discovery::edits::EditsError),
    /// The GPUs are for one container at a time, and another has them; or it cannot be known.
    #[error(transparent)]
    Tracker(#[from] gpu_tracker::TrackerError),
    /// libcontainer could not build the container, or start a process in it.
    #[error("unable to start container process")]
    Build(#[from] BuildError),
    /// The process could not get as far as its program.
    #[error("unable to start container process: {0}")]
    Process(String),
    /// The seccomp profile cannot be applied.
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
    /// A hook failed.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// This program cannot run the hooks of a container.
    #[error(transparent)]
    NoHookRunner(#[from] crate::hooks::create::HandOverError),
    /// A device rule of the spec makes no sense.
    #[error("linux.resources.devices")]
    Rule(#[from] RuleError),
    /// The device rules are not in force.
    #[error("cannot enforce the device rules of the container")]
    DeviceCgroup(#[from] DeviceCgroupError),
    /// The cgroup of the container could not be handled.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// A user who is not root gets no user namespace, and so can make no container.
    #[error("cannot make a user namespace, as a user who is not root needs one")]
    NoUserNamespace(#[source] io::Error),
    /// A user without ids to give away maps others than the own one.
    #[error("linux.{mappings}: this user can map one id, {own} on the host, and no other")]
    ForeignIds {
        /// `uidMappings` or `gidMappings`.
        mappings: &'static str,
        /// The id.
        own: u32,
    },
    /// CRIU did not checkpoint or restore the container.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The container is in a state in which the command makes no sense.
    #[error("{0}")]
    Status(String),
    /// The options of the command contradict each other or the spec.
    #[error("{0}")]
    Usage(String),
    /// libcontainer failed at a step after the container was built.
    #[error("{what}")]
    Libcontainer {
        /// What was being done.
        what: &'static str,
        /// libcontainer's own error.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A file could not be read or written.
    #[error("{what} {path:?}")]
    Io {
        /// What was being done, as in "cannot write".
        what: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A system call failed.
    #[error("{what}")]
    System {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl Error {
    /// What the user can do about it, where there is something.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Spec(err) => err.hint(),
            Self::State(err) => err.hint(),
            Self::Discovery(err) => err.hint(),
            Self::UnknownGpu(err) => err.hint(),
            Self::Edits(err) => err.hint(),
            Self::Tracker(err) => err.hint(),
            Self::DeviceCgroup(err) => err.hint(),
            Self::Cgroup(err) => err.hint(),
            Self::Checkpoint(err) => err.hint(),
            Self::ForeignIds { .. } => Some(
                "`amd-container-runtime spec --rootless` writes such a mapping; for more ids run it \
                 by podman or in `rootlesskit`, which take them from /etc/subuid and /etc/subgid"
                    .into(),
            ),
            Self::NoUserNamespace(_) => Some(
                "the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and \
                 kernel.apparmor_restrict_unprivileged_userns decide over it; or run as root"
                    .into(),
            ),
            _ => None,
        }
    }

    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::System { what, source }
    }

    pub(crate) fn not_running(id: &crate::id::ContainerId) -> Self {
        // containerd's shim matches on runc's words.
        Self::Status(format!(
            "container {:?}: container not running",
            id.as_str()
        ))
    }
}

/// An error with all its causes in one line, outermost first, as docker and kubelet
/// show it. A cause that the line above it already says is not repeated.
pub fn chain(error: &dyn StdError) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        source = cause.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chain_names_every_cause_once() {
        let source = io::Error::from_raw_os_error(libc::ENOENT);
        let err = Error::Spec(SpecError::Rootfs {
            path: "/x".into(),
            source,
        });
        assert_eq!(
            chain(&err),
            "invalid rootfs \"/x\": No such file or directory (os error 2)"
        );
    }
}
