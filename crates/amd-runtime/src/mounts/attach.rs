//! One mount of the spec: made detached, given its attributes, and attached.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, fstat};
use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, PROC_SUPER_MAGIC, fstatfs, statfs};
use rustix::fs::{XattrFlags, fsetxattr};

use super::attributes;
use super::copy_up::copy_up;
use super::error::{MountError, Result, Step, at};
use super::options::MountOptions;
use super::plan::{Kind, PlannedMount};
use super::root::{Root, is_directory};
use super::sources::{Source, Sources};
use crate::mount_api::{self, MountAttr, c_path};

/// Files of /proc that lxcfs and the like put theirs on, as runc allows.
const PROC_FILES: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// Where the unified hierarchy is mounted on a host (systemd's "file hierarchy").
const UNIFIED: &str = "/sys/fs/cgroup";

/// The inode of the first cgroup namespace (include/linux/proc_ns.h, `PROC_CGROUP_INIT_INO`).
const FIRST_CGROUP_NAMESPACE: u64 = 0xEFFF_FFFB;
/// The inode of the root of a cgroup hierarchy (fs/kernfs/dir.c).
const ROOT_CGROUP: u64 = 1;

/// Whether what is mounted at [`UNIFIED`] is the one superblock of cgroup v2, seen from the root, as a
/// new mount of it from here would be. A new one is not the same for the host: made from the first
/// cgroup namespace it sets the options of all (`nsdelegate`), and since Linux 6.18 it waits for an
/// RCU grace period (kernel/cgroup/cgroup.c, `apply_cgroup_root_flags`).
fn host_shows_all() -> bool {
    let inode = |path: &str| std::fs::metadata(path).map(|file| file.ino()).ok();
    let is_v2 = statfs(UNIFIED).is_ok_and(|fs| fs.filesystem_type() == CGROUP2_SUPER_MAGIC);
    is_v2
        && inode(UNIFIED) == Some(ROOT_CGROUP)
        && inode("/proc/self/ns/cgroup") == Some(FIRST_CGROUP_NAMESPACE)
}

/// What mounts are made with.
#[derive(Debug)]
pub struct Mounter<'a> {
    /// The root filesystem.
    pub root: &'a Root,
    /// Who opens sources of the host.
    pub sources: &'a Sources,
    /// The container's cgroup below the root of the unified hierarchy, where the
    /// container has a cgroup namespace.
    pub own_cgroup: Option<PathBuf>,
    /// The SELinux context of new file systems.
    pub label: Option<&'a str>,
}

impl Mounter<'_> {
    /// Makes one mount.
    ///
    /// # Errors
    /// Names the mount.
    pub fn mount(&self, mount: &PlannedMount) -> Result<()> {
        let made = match &mount.kind {
            Kind::Bind => self.bind(mount),
            Kind::Cgroup => self.cgroup(mount),
            Kind::FileSystem(kind) if kind == "proc" || kind == "sysfs" => {
                self.ordinary_directory(mount, kind)
            }
            Kind::FileSystem(kind) => self.file_system(mount, kind),
        };
        made.map_err(|cause| MountError::Mount {
            source_name: mount.source.display().to_string(),
            destination: mount.destination.display().to_string(),
            cause: Box::new(cause),
        })
    }

    fn bind(&self, mount: &PlannedMount) -> Result<()> {
        let source = Source {
            path: mount.source.clone(),
            recursive: mount.options.has(libc::MS_REC),
            id_map: mount.id_map.clone(),
        };
        let tree = self.sources.open(&source)?;
        let target = self.target(mount, tree.as_fd())?;
        self.check_over_proc(target.as_fd(), Some(tree.as_fd()), false)?;
        let options = &mount.options;
        set_flags(tree.as_fd(), options)?;
        if let Some((set, clear)) = options.recursive {
            let attributes = MountAttr {
                set,
                clear,
                ..MountAttr::default()
            };
            mount_api::set_attributes(tree.as_fd(), true, &attributes)
                .step(|| "set the recursive options of the mount".into())?;
        }
        attach(tree.as_fd(), target.as_fd(), options)
    }

    /// What a bind mount goes on; made where it is missing, a directory or a file as the
    /// source is.
    fn target(&self, mount: &PlannedMount, tree: BorrowedFd<'_>) -> Result<OwnedFd> {
        let destination = &mount.destination;
        let target = if is_directory(tree).step(|| at("look at", &mount.source))? {
            self.root.directory(destination)
        } else {
            self.root.file(destination)
        };
        target.step(|| at("create mountpoint", destination))
    }

    fn file_system(&self, mount: &PlannedMount, kind: &str) -> Result<()> {
        let existing = self.root.find(&mount.destination);
        let is_new = existing.is_err();
        let target = match existing {
            Err(err) if err.raw_os_error() == Some(libc::ENOENT) => {
                self.root.directory(&mount.destination)
            }
            existing => existing,
        };
        let target = target.step(|| at("create mountpoint", &mount.destination))?;
        self.check_over_proc(target.as_fd(), None, false)?;
        let mut data = Vec::new();
        if kind == "tmpfs" && !is_new {
            // The mode of what it covers, unless the spec says another.
            let stat = fstat(&target).step(|| at("look at", &mount.destination))?;
            data.push(format!("mode={:04o}", stat.st_mode & 0o7777));
        }
        data.extend(mount.options.data.iter().cloned());
        if kind != "mqueue" {
            data.extend(label_option(self.label));
        }
        let made = self.fresh(mount, kind, &data)?;
        if let Some(label) = self.label.filter(|_| kind == "mqueue") {
            set_label(made.as_fd(), label).step(|| at("label", &mount.destination))?;
        }
        if kind == "tmpfs" && mount.options.copy_up {
            copy_up(target.as_fd(), made.as_fd())
                .step(|| format!("tmpcopyup: copy {}", mount.destination.display()))?;
        }
        attach(made.as_fd(), target.as_fd(), &mount.options)
    }

    /// /proc and /sys go on directories of the image, through no link: what is masked in
    /// them would be looked for elsewhere (CVE-2019-19921, CVE-2023-27561).
    fn ordinary_directory(&self, mount: &PlannedMount, kind: &str) -> Result<()> {
        let target = self.root.directory_itself(&mount.destination);
        let target = match target {
            Err(err) if err.raw_os_error() == Some(libc::ENOTDIR) => {
                return Err(MountError::Refused(format!(
                    "filesystem {kind:?} must be mounted on ordinary directory"
                )));
            }
            target => target.step(|| at("create mountpoint", &mount.destination))?,
        };
        self.check_over_proc(target.as_fd(), None, kind == "proc")?;
        let made = self.fresh(mount, kind, &mount.options.data)?;
        attach(made.as_fd(), target.as_fd(), &mount.options)
    }

    /// The cgroup v2 hierarchy; the v1 ones are bind mounts already (`cgroup_v1`).
    fn cgroup(&self, mount: &PlannedMount) -> Result<()> {
        let target = self
            .root
            .directory(&mount.destination)
            .step(|| at("create mountpoint", &mount.destination))?;
        self.check_over_proc(target.as_fd(), None, false)?;
        let is_there =
            self.own_cgroup.is_none() && mount.options.data.is_empty() && host_shows_all();
        if !is_there {
            match self.fresh(mount, "cgroup2", &mount.options.data) {
                Err(MountError::Step { source, .. })
                    if matches!(source.raw_os_error(), Some(libc::EPERM | libc::EBUSY)) => {}
                made => return attach(made?.as_fd(), target.as_fd(), &mount.options),
            }
        }
        // In a user namespace without a cgroup namespace of its own it cannot be mounted.
        let own = self.own_cgroup.as_deref().unwrap_or(Path::new("/"));
        let mut bind = mount.clone();
        bind.kind = Kind::Bind;
        bind.source = Path::new(UNIFIED).join(own.strip_prefix("/").unwrap_or(own));
        bind.options.set |= libc::MS_BIND;
        bind.options.data.clear();
        self.bind(&bind)
    }

    /// A detached mount of a new superblock.
    fn fresh(&self, mount: &PlannedMount, kind: &str, data: &[String]) -> Result<OwnedFd> {
        let mut flags = mount.options.set;
        if mount.is_read_only_late() {
            flags &= !libc::MS_RDONLY;
        }
        new_mount(kind, &mount.source, flags, data)
    }

    /// Refuses what would cover /proc or something in it: the container's /proc is what
    /// masked and read-only paths protect, and what the security modules are set up by
    /// (CVE-2019-16884). As runc's `checkProcMount`.
    fn check_over_proc(
        &self,
        target: BorrowedFd<'_>,
        bound: Option<BorrowedFd<'_>>,
        is_proc: bool,
    ) -> Result<()> {
        let path = self
            .root
            .path_of(target)
            .step(|| "look at the mountpoint".into())?;
        if path == Path::new("/") {
            return Err(MountError::Refused(
                "the mountpoint is on the top of rootfs".into(),
            ));
        }
        if !path.starts_with("/proc") || PROC_FILES.iter().any(|file| path == Path::new(file)) {
            return Ok(());
        }
        if path != Path::new("/proc") {
            return Err(MountError::Refused(format!(
                "{path:?} cannot be mounted because it is inside /proc"
            )));
        }
        let is_proc = is_proc
            || bound.is_some_and(|tree| {
                fstatfs(tree).is_ok_and(|fs| fs.filesystem_type() == PROC_SUPER_MAGIC)
            });
        if is_proc {
            return Ok(());
        }
        Err(MountError::Refused(format!(
            "{path:?} cannot be mounted because it is not of type proc"
        )))
    }
}

/// The option that gives a file system an SELinux context.
pub fn label_option(label: Option<&str>) -> Option<String> {
    Some(format!("context={}", label?))
}

/// Gives a directory an SELinux context: for a file system that takes none as an option, since it
/// is that of the IPC namespace.
fn set_label(dir: BorrowedFd<'_>, label: &str) -> io::Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let dir = openat(dir, ".", flags, Mode::empty())?;
    let flags = XattrFlags::empty();
    Ok(fsetxattr(
        &dir,
        "security.selinux",
        label.as_bytes(),
        flags,
    )?)
}

/// A detached mount of a new superblock of type `kind`.
///
/// # Errors
/// With what the kernel says.
pub fn new_mount(kind: &str, source: &Path, flags: u64, data: &[String]) -> Result<OwnedFd> {
    let text = |text: &str| CString::new(text).step(|| format!("mount {kind}"));
    let context = mount_api::fsopen(&text(kind)?).step(|| format!("mount {kind}"))?;
    let context = context.as_fd();
    let failed = |what: String| {
        move || match mount_api::message(context) {
            Some(message) => format!("{what} ({message})"),
            None => what,
        }
    };
    if !source.as_os_str().is_empty() {
        let name = c_path(source).step(|| format!("mount {kind}"))?;
        mount_api::set_string(context, c"source", &name).step(failed(format!("mount {kind}")))?;
    }
    let superblock = [
        (libc::MS_RDONLY, c"ro"),
        (libc::MS_SYNCHRONOUS, c"sync"),
        (libc::MS_DIRSYNC, c"dirsync"),
        (libc::MS_MANDLOCK, c"mand"),
        (libc::MS_LAZYTIME, c"lazytime"),
        (libc::MS_I_VERSION, c"iversion"),
    ];
    for (_, name) in superblock.iter().filter(|(flag, _)| flags & flag != 0) {
        mount_api::set_flag(context, name)
            .step(failed(format!("mount {kind} with option {name:?}")))?;
    }
    for option in data.iter().flat_map(|data| words(data)) {
        let set = match option.split_once('=') {
            _ if option.is_empty() => continue,
            Some((key, value)) => mount_api::set_string(context, &text(key)?, &text(value)?),
            None => mount_api::set_flag(context, &text(option)?),
        };
        set.step(failed(format!("mount {kind} with option {option:?}")))?;
    }
    mount_api::create(context).step(failed(format!("mount {kind}")))?;
    mount_api::fsmount(context, attributes::of_new(flags)).step(failed(format!("mount {kind}")))
}

/// The options in an entry: engines put several in one, and a comma can be part of an
/// SELinux context.
fn words(data: &str) -> Vec<&str> {
    if data.starts_with("context=") {
        vec![data]
    } else {
        data.split(',').collect()
    }
}

/// Gives a bind mount the flags of its options.
fn set_flags(tree: BorrowedFd<'_>, options: &MountOptions) -> Result<()> {
    let Some(attributes) = attributes::of_bind(options.set, options.cleared) else {
        return Ok(());
    };
    let what = || "failed to set user-requested vfs flags on bind-mount".to_owned();
    match mount_api::set_attributes(tree, false, &attributes) {
        Err(err) if err.raw_os_error() == Some(Errno::EPERM as i32) => {}
        set => return set.step(what),
    }
    let existing = statfs_flags(tree).step(what)?;
    let attributes = attributes::of_locked_bind(options.set, options.cleared, existing)?;
    mount_api::set_attributes(tree, false, &attributes).step(what)
}

fn statfs_flags(tree: BorrowedFd<'_>) -> io::Result<u64> {
    // nix knows fewer of them under musl.
    let flags = rustix::fs::fstatfs(tree)?.f_flags;
    Ok(attributes::of_statfs(flags.cast_unsigned()))
}

fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>, options: &MountOptions) -> Result<()> {
    mount_api::attach(mount, target).step(|| "attach the mount".into())?;
    for &propagation in &options.propagation {
        propagate(mount, propagation)?;
    }
    Ok(())
}

/// Changes the propagation type of a mount: `MS_SHARED` and the like, with `MS_REC` for
/// those below it, too.
///
/// # Errors
/// The kernel's.
pub fn propagate(mount: BorrowedFd<'_>, propagation: u64) -> Result<()> {
    let attributes = MountAttr {
        propagation: propagation & !libc::MS_REC,
        ..MountAttr::default()
    };
    mount_api::set_attributes(mount, propagation & libc::MS_REC != 0, &attributes)
        .step(|| "change the mount's propagation".into())
}
