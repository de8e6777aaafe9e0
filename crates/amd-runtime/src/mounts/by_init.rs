//! The root filesystem, made by the container's init itself.
//!
//! The step that [`enter`](super::enter) describes costs an execve(2) and two forks: a fifth of a
//! create. Most containers need none of it, since their init may do what the step does: those
//! without a user namespace, whose sources of mounts are opened with the rights of the host, and
//! without hooks that find the mounts made. There libcontainer is told of an empty directory as the
//! root, and of no mount namespace. So it changes the root with chroot(2) and not with
//! pivot_root(2), and its last call of us, `Executor::validate`, finds the host's tree still there.
//! Then its init takes the mount namespace, and does the rest as libcontainer would have done it.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use libcgroups::common::DEFAULT_CGROUP_ROOT;
use libcontainer::oci_spec::runtime::Spec;
use nix::fcntl::OFlag;
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, umask};
use nix::sys::statfs::statfs;
use nix::unistd::{chdir, fchdir, pivot_root};

use super::enter::inside;
use super::error::{Result, Step, at};
use super::handover::uncover;
use super::late_nodes::NodesToCome;
use super::plan::Plan;
use super::protect;
use super::root::Root;
use super::sources::Sources;
use crate::mount_namespace::make_root;
use crate::path_fd;
use crate::state::{ProcessRef, write_atomically};

const NONE: Option<&str> = None;

/// A root filesystem that the init makes.
#[derive(Clone, Debug)]
pub struct ByInit {
    plan: Plan,
    /// `root.readonly`.
    read_only: bool,
    /// What libcontainer is told is the root: an empty directory, and not in the container.
    told: PathBuf,
    /// The nodes that are not in the plan.
    to_come: Option<NodesToCome>,
}

impl ByInit {
    /// Whether the init can make the root filesystem of this plan.
    ///
    /// Not so where cgroups are not hidden, since libcontainer then works in the runtime's own mount
    /// namespace. An id mapping is written to a process that is forked, by its pid in the host's
    /// /proc, and no_pivot leaves the host's tree.
    pub fn is_possible(plan: &Plan) -> bool {
        let mapped = plan.mounts.iter().any(|mount| mount.id_map.is_some());
        let takes_cover = plan.cgroup_cover.is_some();
        takes_cover && !plan.has_user_namespace() && !plan.no_pivot && !mapped
    }

    /// The root filesystem of `spec`, by its `plan`; `told` is a directory that is made for it.
    ///
    /// # Errors
    /// Where that directory cannot be made.
    pub fn new(
        spec: &Spec,
        plan: Plan,
        told: &Path,
        to_come: Option<NodesToCome>,
    ) -> io::Result<Self> {
        std::fs::create_dir(told)?;
        let root = spec.root().as_ref();
        Ok(Self {
            plan,
            read_only: root.and_then(|root| root.readonly()) == Some(true),
            told: told.to_owned(),
            to_come,
        })
    }

    /// What libcontainer is told is the root.
    pub fn told(&self) -> &Path {
        &self.told
    }

    /// Takes this process from what libcontainer was told is the root to `host`, the root directory
    /// that the runtime has.
    ///
    /// # Errors
    /// Where it may not.
    pub fn leave_told(&self, host: RawFd) -> Result<()> {
        // SAFETY: open until this returns; the value that owns it is the runtime's.
        #[allow(unsafe_code)]
        let host = unsafe { BorrowedFd::borrow_raw(host) };
        make_root(host).step(|| "go back to the host's root directory".to_owned())
    }

    /// Makes it the root directory of this process, in a mount namespace of its own.
    ///
    /// # Errors
    /// Names what could not be done.
    pub fn make(&self) -> Result<()> {
        let plan = &self.plan;
        if let Some(path) = &plan.init_file {
            put_on_record(path).step(|| "put the container's init on record".into())?;
        }
        unshare(CloneFlags::CLONE_NEWNS).step(|| "make the mount namespace".into())?;
        if let Some(cover) = &plan.cgroup_cover {
            uncover(cover)?;
        }
        plan.join_cgroup_to_copy()?;
        let rootfs = plan.rootfs.as_path();
        set_apart(plan.propagation, rootfs).step(|| at("bind", rootfs))?;
        // Every mode is given in full there.
        let mask = umask(Mode::empty());
        let made = inside(plan, &Sources::own(), own_cgroup(plan));
        umask(mask);
        made?;
        reopen_null(rootfs)?;
        pivot(rootfs).step(|| at("make the root directory", rootfs))?;
        if plan.propagation & libc::MS_UNBINDABLE != 0 {
            let done = mount(NONE, "/", NONE, MsFlags::MS_UNBINDABLE, NONE);
            done.step(|| "make the root unbindable".into())?;
        }
        if let Some(nodes) = &self.to_come {
            nodes.make(plan.label.as_deref())?;
        }
        if self.read_only {
            make_read_only().step(|| "make the root read-only".into())?;
        }
        Ok(())
    }
}

/// The container's cgroup as the host's view of the v2 hierarchy names it, where the container has
/// another: what is to be seen where that cannot be mounted anew.
fn own_cgroup(plan: &Plan) -> Option<PathBuf> {
    if plan.namespaces & libc::CLONE_NEWCGROUP == 0 {
        return None;
    }
    let dir = plan.cgroup_cover.as_deref()?;
    let below = dir.strip_prefix(DEFAULT_CGROUP_ROOT).ok()?;
    let is_below = !below.as_os_str().is_empty();
    is_below.then(|| Path::new("/").join(below))
}

/// As the host's /proc names it; in its own PID namespace it is number 1.
fn put_on_record(path: &Path) -> io::Result<()> {
    let own = std::fs::read_link("/proc/self")?;
    let pid = own.to_str().and_then(|pid| pid.parse().ok());
    let init = pid.and_then(ProcessRef::of);
    let init = init.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
    write_atomically(path, &serde_json::to_vec(&init)?)
}

/// As libcontainer's `mount_to_rootfs`: from here on no mount reaches the host, and the root is one
/// of its own, as pivot_root(2) wants it.
fn set_apart(propagation: u64, rootfs: &Path) -> nix::Result<()> {
    let kind = if propagation & libc::MS_PRIVATE != 0 {
        MsFlags::MS_PRIVATE
    } else {
        MsFlags::MS_SLAVE
    };
    mount(NONE, "/", NONE, kind | MsFlags::MS_REC, NONE)?;
    let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
    mount(Some(rootfs), rootfs, NONE, bind, NONE)
}

/// As libcontainer's `pivot_rootfs`, and runc's: the old root is put over the new one, and taken
/// away, with no directory made for it.
fn pivot(rootfs: &Path) -> nix::Result<()> {
    let old = path_fd::find("/", OFlag::O_DIRECTORY)?;
    let new = path_fd::find(rootfs, OFlag::O_DIRECTORY)?;
    fchdir(&new)?;
    pivot_root(".", ".")?;
    fchdir(&old)?;
    // The unmount must not reach the host.
    mount(NONE, ".", NONE, MsFlags::MS_SLAVE | MsFlags::MS_REC, NONE)?;
    umount2(".", MntFlags::MNT_DETACH)?;
    chdir("/")
}

/// Standard streams that are some /dev/null become the container's own (libcontainer's and runc's
/// `reopen_dev_null`): the host's would be a file of it that the container has.
fn reopen_null(rootfs: &Path) -> Result<()> {
    let open = || "open the container's /dev/null".to_owned();
    let root = Root::open(rootfs).step(open)?;
    // What was found to be it is opened, and nothing that is there by now.
    let found = protect::dev_null(&root)?;
    let path = format!("/proc/self/fd/{}", found.as_raw_fd());
    let null = File::options()
        .read(true)
        .write(true)
        .open(path)
        .step(open)?;
    replace_null(&null).step(open)
}

fn replace_null(null: &File) -> io::Result<()> {
    let number = null.metadata()?.rdev();
    let is_device = |mode| SFlag::from_bits_truncate(mode) & SFlag::S_IFMT == SFlag::S_IFCHR;
    for stream in 0..=libc::STDERR_FILENO {
        // SAFETY: numbers, and a buffer that the kernel fills.
        #[allow(unsafe_code)]
        let is_null = unsafe {
            let mut stat = std::mem::zeroed::<libc::stat>();
            libc::fstat(stream, &raw mut stat) == 0
                && is_device(stat.st_mode)
                && stat.st_rdev == number
        };
        // SAFETY: numbers of descriptors; standard streams belong to nobody in this process.
        #[allow(unsafe_code)]
        if is_null && unsafe { libc::dup2(null.as_raw_fd(), stream) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Keeps what the mount has of `nosuid` and the like.
fn make_read_only() -> nix::Result<()> {
    let kept = statfs("/")?.flags().bits();
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    mount(
        NONE,
        "/",
        NONE,
        flags | MsFlags::from_bits_truncate(kept),
        NONE,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn by_init(change: impl FnOnce(&mut Value), plan: impl FnOnce(&mut Plan)) -> bool {
        let mut spec = json!({
            "ociVersion": "1.0.2", "root": {"path": "r"}, "mounts": [],
            "process": {"cwd": "/", "user": {"uid": 0, "gid": 0}, "args": ["sh"]},
            "linux": {"namespaces": [{"type": "mount"}]},
        });
        change(&mut spec);
        let spec: Spec = serde_json::from_value(spec).unwrap();
        let mut made = Plan::of(&spec, Path::new("/r"), Path::new("/b")).unwrap();
        made.cgroup_cover = Some("/sys/fs/cgroup".into());
        plan(&mut made);
        ByInit::is_possible(&made)
    }

    #[test]
    fn an_init_makes_its_root_where_it_has_the_rights_and_libcontainer_has_no_part_in_it() {
        let same = |_: &mut Value| {};
        assert!(by_init(same, |_| {}));
        assert!(!by_init(same, |plan| plan.cgroup_cover = None));
        assert!(!by_init(same, |plan| plan.no_pivot = true));
        let user = json!([{"type": "mount"}, {"type": "user"}]);
        assert!(!by_init(|spec| spec["linux"]["namespaces"] = user, |_| {}));
        let mapping = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
        let mapped = json!([{
            "destination": "/m", "type": "bind", "source": "/s", "options": ["bind"],
            "uidMappings": mapping, "gidMappings": mapping,
        }]);
        assert!(!by_init(|spec| spec["mounts"] = mapped, |_| {}));
    }
}
