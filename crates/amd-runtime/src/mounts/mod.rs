//! The root filesystem of a container: its mounts, its device nodes, what is masked and
//! read-only in it.
//!
//! libcontainer 0.7.0 can make one, and makes another than runc does in some thirty ways
//! (`rootfs/mount.rs`, `rootfs/device.rs`, `rootfs/symlink.rs`): it ignores the propagation
//! of mounts and flags that are cleared, knows no `tmpcopyup` and no id-mapped mount, opens
//! sources with the rights of the container, fails at links that dangle and at a missing
//! working directory, makes links in /dev by bare path, and lets a volume cover /proc. So
//! the whole of it is done here, not one mount or another: mounts depend on those before
//! them (a mount point in a tmpfs, a source that is a path of the container), and a part
//! taken out would have to be put back in order.
//!
//! When: where runc does it, in the container's namespaces, after they are made and before
//! hooks run and pivot_root(2) leaves the host's tree behind. libcontainer has one place
//! there at which it lets others in, its hooks; so the runtime puts itself in front of them
//! (`handover`, `reentry`). Doing it after `build()` would be simpler and wrong: hooks, the
//! search for the program and the change to the working directory need the mounts. Where there
//! are no such hooks, and no user namespace, the container's init does it itself (`by_init`).
//!
//! ```text
//! plan      the spec, as what is to be made: pure (options: the words of a mount)
//! handover  what libcontainer is given instead, and the hook that calls the step
//! enter     the step: two processes, in the namespaces of the container
//! by_init   no step: the container's init
//! root      paths in a root filesystem that nobody trusts
//! attach    a mount (attributes: its flags, pure; sources: the host's tree; copy_up)
//! devices, no_pivot    what follows the mounts, in this order (late_nodes: and what is not known then)
//! console, finish    what comes last, in the container's init (finish: sysctl, protect)
//! cgroup_v1, granted_nodes    before: what a v1 mount shows; after: is a GPU's node it?
//! ```
//!
//! A container in the mount namespace of its caller (no `mount` in `linux.namespaces`) is left
//! to libcontainer: what is mounted there is mounted on the host, and stays, as with runc.

mod attach;
mod attributes;
mod by_init;
pub mod cgroup_v1;
mod console;
mod copy_up;
mod devices;
mod enter;
mod error;
pub mod external;
mod finish;
pub mod granted_nodes;
mod handover;
mod late_nodes;
mod no_pivot;
mod node_server;
pub mod options;
mod plan;
mod protect;
mod root;
mod sources;
mod sysctl;

use std::path::{Path, PathBuf};

use discovery::edits::DeviceNode;
use libcontainer::oci_spec::runtime::Spec;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use serde_json::Value;

pub(crate) use attach::new_mount;
pub use by_init::ByInit;
pub use console::mount_console;
pub use finish::Finish;
pub use handover::Handover;
pub use late_nodes::{Announcement, NodesToCome};

pub(crate) use enter::main as step;

use crate::error::{Error, Result};
use crate::reentry;
use crate::spec::namespace;
use plan::{Device, Plan};

/// What there is to know of a container beside its spec.
#[derive(Clone, Debug)]
pub struct Circumstances<'a> {
    /// Its root filesystem, absolute.
    pub rootfs: &'a Path,
    /// The directory of its bundle.
    pub bundle: &'a Path,
    /// Whether the host's mounts will stay below its root.
    pub no_pivot: bool,
    /// Where its init is put on record, for one that is in no cgroup while it is built.
    pub init_file: Option<PathBuf>,
    /// What hides cgroups from libcontainer, and must not from the container.
    pub cgroup_cover: Option<PathBuf>,
    /// The directories of its cgroup, which exist when its root filesystem is made.
    pub cgroup_dirs: Vec<PathBuf>,
    /// A directory that can be made, to stand in for its root filesystem.
    pub stand_in: PathBuf,
}

/// The nodes of a container's GPUs that are not in its spec.
#[derive(Debug)]
pub enum GrantedNodes<'a> {
    /// These.
    Known(&'a [DeviceNode]),
    /// Those that its init will be told of. Only where [`Rootfs::takes_late_nodes`] says so.
    ToCome(NodesToCome),
}

/// A root filesystem as it is to be.
#[derive(Debug)]
pub struct Rootfs {
    plan: Plan,
    stand_in: PathBuf,
}

/// The root filesystem of `spec`. `typed` is the same spec. `None` for a container in its caller's
/// mount namespace.
///
/// # Errors
/// Where runc would refuse a mount, and where the program cannot be called again
/// ([`reentry::is_ready`]).
pub fn plan(spec: &Value, typed: &Spec, container: Circumstances<'_>) -> Result<Option<Rootfs>> {
    if namespace(spec, "mount").is_none() {
        return Ok(None);
    }
    if !reentry::is_ready() {
        return Err(Error::Usage(
            "amd_runtime::seal::ensure_sealed must be called first in main: containers cannot be \
             created otherwise"
                .into(),
        ));
    }
    Ok(Some(Rootfs {
        plan: Plan {
            no_pivot: container.no_pivot,
            init_file: container.init_file,
            cgroup_cover: container.cgroup_cover,
            cgroup_dirs: container.cgroup_dirs,
            ..Plan::of(typed, container.rootfs, container.bundle)?
        },
        stand_in: container.stand_in,
    }))
}

impl Rootfs {
    /// Whether it can be made before all nodes are known.
    pub fn takes_late_nodes(&self) -> bool {
        self.plan.devices.is_some() && ByInit::is_possible(&self.plan)
    }

    /// Takes it over from libcontainer, which is told of `spec`. `typed` is the spec that it was
    /// planned by.
    ///
    /// # Errors
    /// Where a field is of the wrong type, and where a file for it cannot be made.
    pub fn hand_over(
        self,
        spec: &mut Value,
        typed: &Spec,
        nodes: GrantedNodes<'_>,
    ) -> Result<Handover> {
        let Self { mut plan, stand_in } = self;
        let to_come = match nodes {
            GrantedNodes::Known(nodes) => {
                if let Some(devices) = &mut plan.devices {
                    devices.extend(nodes.iter().map(Device::granted));
                }
                None
            }
            GrantedNodes::ToCome(to_come) => Some(to_come),
        };
        let finish = Finish::of(typed.linux().as_ref(), &plan);
        let handover = if ByInit::is_possible(&plan) {
            let root = ByInit::new(typed, plan, &stand_in, to_come)
                .map_err(Error::system(format!("cannot make {stand_in:?}")))?;
            Handover::to_init(root, finish)
        } else {
            Handover::to_step(&plan, finish).map_err(Error::system("cannot make a memfd"))?
        };
        handover.take_over(spec)?;
        Ok(handover)
    }
}

/// Words the propagation of the root in `spec` as libcontainer, which is told of it, knows it.
///
/// It knows `private` and takes it for `rprivate`; runc takes that as well, and
/// nothing for the default. What is recursive is left to `enter`.
pub fn shorten_propagation(spec: &mut Value) {
    if let Some(Value::String(name)) = spec.pointer_mut("/linux/rootfsPropagation") {
        let known = options::propagation(name).is_some();
        if known && let Some(plain) = name.strip_prefix('r') {
            *name = plain.to_owned();
        } else if name.is_empty() {
            spec["linux"]["rootfsPropagation"] = Value::Null;
        }
    }
}

/// Helpers must not outlive those who wait for them.
fn die_with_parent() {
    // Only a signal that does not exist is refused.
    let _ = set_pdeathsig(Signal::SIGKILL);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn libcontainer_is_told_the_short_names_of_propagation() {
        for (name, plain) in [
            (json!("rprivate"), json!("private")),
            (json!("rshared"), json!("shared")),
            (json!("slave"), json!("slave")),
            (json!(""), json!(null)),
            (json!("rubbish"), json!("rubbish")),
        ] {
            let mut spec = json!({"linux": {"rootfsPropagation": name}});
            shorten_propagation(&mut spec);
            assert_eq!(spec["linux"]["rootfsPropagation"], plain);
        }
    }
}
