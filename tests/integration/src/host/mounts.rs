//! The mounts of a simulated host, made in the mount namespace of the calling thread.

use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, SFlag, mknod};

use super::{Cgroups, Host};

/// Where the new trees are put together, and where the overlays keep what is written.
const STAGE: &str = "/run/.simulated-host";

/// The machine's own sysfs, as a name in the new /sys.
const MACHINE: &str = ".machine";

/// Directories of /sys that hold entries of the machine and of the simulated hardware.
const SHARED: [&str; 8] = [
    "bus",
    "class",
    "dev",
    "dev/char",
    "devices",
    "devices/platform",
    "devices/virtual",
    "module",
];

/// What shows GPUs: never the machine's.
const SIMULATED: [&str; 6] = [
    "bus/pci",
    "class/drm",
    "class/kfd",
    "devices/virtual/kfd",
    "module/amdgpu",
    "module/amdxcp",
];

/// Partitions, numbered: never the machine's either.
const SIMULATED_PREFIX: &str = "devices/platform/amdgpu_xcp";

/// Directories of /sys below which the machine has mounts of its own.
const WITH_MOUNTS: [&str; 2] = ["fs", "kernel"];

/// Character devices that programs expect, copied from the machine where it has them.
const NODES: [&str; 10] = [
    "null",
    "zero",
    "full",
    "random",
    "urandom",
    "tty",
    "kmsg",
    "fuse",
    "loop-control",
    "net/tun",
];

/// Directories that programs write to: changes are kept in memory.
const OVERLAID: [&str; 2] = ["/etc", "/var/lib"];

/// Makes the calling thread's mounts those of a simulated host with the hardware of `host`.
///
/// # Errors
/// Where a mount is refused or the hardware's files cannot be written.
pub(super) fn set_up(host: &Host, cgroups: Cgroups) -> Result<()> {
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .context("cannot make all mounts private")?;
    tmpfs(Path::new("/run"), "mode=755")?;
    fs::create_dir_all("/run/lock")?;
    tmpfs(Path::new("/var/log"), "mode=755")?;
    for dir in OVERLAID {
        overlay(Path::new(dir))?;
    }
    let sys = Path::new(STAGE).join("sys");
    fill_sys(host, &sys).context("cannot build /sys")?;
    replace(Path::new("/sys"), &sys)?;
    if cgroups == Cgroups::V2 {
        unified_alone()?;
    }
    let dev = Path::new(STAGE).join("dev");
    fill_dev(host, &dev).context("cannot build /dev")?;
    replace(Path::new("/dev"), &dev)?;
    may_open_nodes(host)
}

/// Covers /sys of this machine, for every process in this mount namespace, with one that shows
/// the hardware of `host`, unless it does so already. Its /dev stays.
///
/// # Errors
/// Where a mount is refused or the hardware's files cannot be written.
pub fn cover_sys(host: &Host) -> Result<()> {
    if Path::new("/sys").join(MACHINE).exists() {
        return Ok(());
    }
    let sys = Path::new(STAGE).join("sys");
    fill_sys(host, &sys).context("cannot build /sys")?;
    bind(&sys, Path::new("/sys"), MsFlags::MS_REC)
}

/// Whether the devices cgroup of this process lets it have the simulated nodes: within a
/// container it does not, and then no container of its own can have them either.
fn may_open_nodes(host: &Host) -> Result<()> {
    let Some(node) = host.nodes().into_iter().next() else {
        return Ok(());
    };
    match fs::File::open(&node.path) {
        Err(err) if err.kind() == io::ErrorKind::PermissionDenied => Err(err).with_context(|| {
            let path = node.path.display();
            format!("the devices cgroup of this process denies {path}: is this in a container?")
        }),
        _ => Ok(()),
    }
}

fn fill_sys(host: &Host, sys: &Path) -> Result<()> {
    tmpfs(sys, "mode=755")?;
    host.write_sys(sys)
        .context("cannot write the simulated hardware")?;
    let machine = sys.join(MACHINE);
    bind(Path::new("/sys"), &machine, MsFlags::empty())?;
    for entry in entries(&machine)? {
        let name = entry.file_name();
        let path = sys.join(&name);
        if SHARED.iter().any(|shared| name == *shared) {
            share(sys, Path::new(&name))?;
        } else if WITH_MOUNTS.iter().any(|with| name == *with) {
            bind(&Path::new("/sys").join(&name), &path, MsFlags::MS_REC)?;
        } else {
            link(sys, Path::new(&name))?;
        }
    }
    Ok(())
}

/// Gives directory `dir` of the new /sys the machine's entries, but for those that the
/// simulated hardware has and those that show GPUs.
///
/// Entries are links to the machine's sysfs rather than mounts: there are hundreds, and
/// each container gets a copy of every mount.
fn share(sys: &Path, dir: &Path) -> Result<()> {
    fs::create_dir_all(sys.join(dir))?;
    for entry in entries(&sys.join(MACHINE).join(dir))? {
        let path = dir.join(entry.file_name());
        if SHARED.iter().any(|shared| path == Path::new(shared)) {
            share(sys, &path)?;
        } else if !is_simulated(&path) {
            link(sys, &path)?;
        }
    }
    Ok(())
}

fn is_simulated(path: &Path) -> bool {
    SIMULATED
        .iter()
        .any(|simulated| path == Path::new(simulated))
        || path.to_string_lossy().starts_with(SIMULATED_PREFIX)
}

/// Links `path` of the new /sys to the machine's, unless it is there.
fn link(sys: &Path, path: &Path) -> Result<()> {
    let up = "../".repeat(path.components().count() - 1);
    let target = PathBuf::from(up).join(MACHINE).join(path);
    match symlink(&target, sys.join(path)) {
        Err(err) if err.kind() != io::ErrorKind::AlreadyExists => {
            Err(err).with_context(|| format!("cannot link /sys/{}", path.display()))
        }
        _ => Ok(()),
    }
}

fn fill_dev(host: &Host, dev: &Path) -> Result<()> {
    tmpfs(dev, "mode=755")?;
    for name in NODES {
        copy_node(&Path::new("/dev").join(name), &dev.join(name))?;
    }
    for (name, target) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, dev.join(name)).with_context(|| format!("cannot link /dev/{name}"))?;
    }
    // The machine's terminals: the one that a person sits at is among them.
    bind(Path::new("/dev/pts"), &dev.join("pts"), MsFlags::empty())?;
    tmpfs(&dev.join("shm"), "mode=1777")?;
    let mqueue = dev.join("mqueue");
    fs::create_dir(&mqueue)?;
    mount(
        Some("mqueue"),
        &mqueue,
        Some("mqueue"),
        MsFlags::empty(),
        None::<&str>,
    )
    .context("cannot mount /dev/mqueue")?;
    host.make_nodes(dev)
        .context("cannot make the simulated hardware's device nodes")
}

fn copy_node(from: &Path, to: &Path) -> Result<()> {
    let Ok(meta) = fs::metadata(from) else {
        return Ok(());
    };
    if !meta.file_type().is_char_device() {
        return Ok(());
    }
    if let Some(dir) = to.parent() {
        fs::create_dir_all(dir)?;
    }
    mknod(to, SFlag::S_IFCHR, Mode::empty(), meta.rdev())
        .with_context(|| format!("cannot make {}", to.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(meta.mode() & 0o7777))?;
    Ok(())
}

/// Leaves the unified hierarchy alone at /sys/fs/cgroup.
fn unified_alone() -> Result<()> {
    let dir = "/sys/fs/cgroup";
    // Fails where nothing is mounted there, which is what is wanted.
    let _ = umount2(dir, MntFlags::MNT_DETACH);
    mount(
        Some("cgroup2"),
        dir,
        Some("cgroup2"),
        MsFlags::empty(),
        None::<&str>,
    )
    .context("cannot mount the unified cgroup hierarchy")
}

fn overlay(dir: &Path) -> Result<()> {
    let name = dir.to_string_lossy().replace('/', "-");
    let upper = PathBuf::from(format!("{STAGE}/upper{name}"));
    let work = PathBuf::from(format!("{STAGE}/work{name}"));
    fs::create_dir_all(&upper)?;
    fs::create_dir_all(&work)?;
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        dir.display(),
        upper.display(),
        work.display()
    );
    mount(
        Some("overlay"),
        dir,
        Some("overlay"),
        MsFlags::empty(),
        Some(options.as_str()),
    )
    .with_context(|| format!("cannot put an overlay on {}", dir.display()))
}

fn tmpfs(dir: &Path, options: &str) -> Result<()> {
    fs::create_dir_all(dir)?;
    mount(
        Some("tmpfs"),
        dir,
        Some("tmpfs"),
        MsFlags::empty(),
        Some(options),
    )
    .with_context(|| format!("cannot mount a tmpfs at {}", dir.display()))
}

fn bind(from: &Path, to: &Path, flags: MsFlags) -> Result<()> {
    fs::create_dir_all(to)?;
    mount(
        Some(from),
        to,
        None::<&str>,
        MsFlags::MS_BIND | flags,
        None::<&str>,
    )
    .with_context(|| format!("cannot bind {} to {}", from.display(), to.display()))
}

/// Puts the tree at `staged` in the place of the one at `dir`.
fn replace(dir: &Path, staged: &Path) -> Result<()> {
    // Fails where `dir` is no mount point; then it is covered.
    let _ = umount2(dir, MntFlags::MNT_DETACH);
    mount(
        Some(staged),
        dir,
        None::<&str>,
        MsFlags::MS_MOVE,
        None::<&str>,
    )
    .with_context(|| format!("cannot put the new {} in place", dir.display()))
}

fn entries(dir: &Path) -> Result<Vec<DirEntry>> {
    fs::read_dir(dir)
        .and_then(Iterator::collect)
        .with_context(|| format!("cannot read {}", dir.display()))
}
