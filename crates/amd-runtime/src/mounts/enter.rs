//! The step that makes the root filesystem: two processes, between libcontainer's
//! preparations and its pivot_root(2).
//!
//! ```text
//! runtime ── libcontainer's build() waits for its first hook, which is this program again:
//!    └── outside: in the container's mount namespace, with the rights of the host
//!           └── inside: in all namespaces of the container, as its root; does the work
//! ```
//!
//! The one outside hands sources of mounts to the one inside (see `sources`) and waits for
//! it. What fails is written to a file that the runtime reads (see `handover`).

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, umask};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, getppid, setresgid, setresuid};
use serde::Deserialize;

use super::attach::{Mounter, propagate};
use super::error::{MountError, Result, Step, at};
use super::plan::Plan;
use super::root::Root;
use super::sources::{self, Sources};
use super::{devices, handover, no_pivot, protect};
use crate::error::chain;
use crate::mount_namespace::make_root;
use crate::path_fd;
use crate::state::{ProcessRef, write_atomically};

/// What a hook is told on its standard input (OCI runtime.md, "State").
#[derive(Deserialize)]
struct State {
    pid: i32,
}

/// Runs the step as the hook that it is, with the numbers of the runtime's files for the
/// plan and for what fails. Returns the exit code.
pub fn main(plan: &str, failure: &str) -> u8 {
    super::die_with_parent();
    let failure = match open_of_parent(failure, true) {
        Ok(file) => file,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cannot make the root filesystem: {error}");
            return 1;
        }
    };
    match outside(plan, &failure) {
        Ok(true) => 0,
        Ok(false) => 1,
        Err(error) => {
            report(&failure, &error);
            1
        }
    }
}

/// A file that the runtime holds open. It is not inherited: no hook of the user's gets it.
fn open_of_parent(number: &str, write: bool) -> io::Result<File> {
    let path = format!("/proc/{}/fd/{number}", getppid());
    File::options().read(!write).append(write).open(path)
}

fn report(mut file: &File, error: &MountError) {
    // Without it the runtime says that the hook failed, at least.
    let _ = file.write_all(chain(error).as_bytes());
}

/// Returns whether the process inside succeeded; what failed there is reported already.
fn outside(plan: &str, failure: &File) -> Result<bool> {
    let read_plan = || "read the plan of the root filesystem".to_owned();
    let plan = open_of_parent(plan, false).step(read_plan)?;
    let plan: Plan = serde_json::from_reader(io::BufReader::new(plan))
        .map_err(io::Error::from)
        .step(read_plan)?;
    let mut state = Vec::new();
    let parse_state = || "read the container's state".to_owned();
    io::stdin().read_to_end(&mut state).step(parse_state)?;
    let state: State = serde_json::from_slice(&state)
        .map_err(io::Error::from)
        .step(parse_state)?;
    let init = Pid::from_raw(state.pid);
    if let (Some(path), Some(init)) = (&plan.init_file, ProcessRef::of(state.pid)) {
        let json = serde_json::to_vec(&init).map_err(io::Error::from);
        json.and_then(|json| write_atomically(path, &json))
            .step(|| "put the container's init on record".into())?;
    }
    let own_cgroup = own_cgroup(&plan, init);
    let process = pidfd(init).step(|| "open the container's init".into())?;
    let join_user = plan.has_user_namespace() && !same_user_namespace(init);

    enter_mounts(&process, init, &plan).step(|| "enter the container's namespaces".into())?;
    if let Some(cover) = &plan.cgroup_cover {
        // Mounts of the container may have their sources there.
        handover::uncover(cover)?;
    }
    plan.join_cgroup_to_copy()?;
    let (sources, server) = sources::pair().step(|| "make a socket pair".into())?;
    // SAFETY: this process has one thread.
    #[allow(unsafe_code)]
    let forked = unsafe { fork() }.step(|| "fork".into())?;
    let child = match forked {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            drop(server);
            let made = enter_rest(&process, &plan, join_user)
                .step(|| "enter the container's namespaces".into())
                .and_then(|()| handover::uncover(&plan.rootfs))
                .and_then(|()| inside(&plan, &sources, own_cgroup));
            if let Err(error) = &made {
                report(failure, error);
            }
            std::process::exit(i32::from(made.is_err()));
        }
    };
    drop(sources);
    let served = server.serve(init).step(|| "serve mount sources".into());
    let ended = waitpid(child, None).step(|| "wait for a process".into())?;
    served?;
    Ok(ended == WaitStatus::Exited(child, 0))
}

/// The container's cgroup v2 directory, as the host's view of the hierarchy names it.
fn own_cgroup(plan: &Plan, init: Pid) -> Option<PathBuf> {
    if plan.namespaces & libc::CLONE_NEWCGROUP == 0 {
        return None;
    }
    let cgroups = fs::read_to_string(format!("/proc/{init}/cgroup")).ok()?;
    let path = cgroups.lines().find_map(|line| line.strip_prefix("0::"))?;
    Some(path.into())
}

fn same_user_namespace(init: Pid) -> bool {
    let inode = |path: &Path| fs::metadata(path).map(|namespace| namespace.ino()).ok();
    inode(Path::new("/proc/self/ns/user")) == inode(Path::new(&format!("/proc/{init}/ns/user")))
}

fn pidfd(process: Pid) -> io::Result<OwnedFd> {
    // SAFETY: numbers only.
    #[allow(unsafe_code)]
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, process.as_raw(), 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it.
    #[allow(unsafe_code)]
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Enters the mount namespace, with the root directory that the runtime has, and the PID
/// namespace for children: /proc is of the namespace of who mounts it.
fn enter_mounts(process: &OwnedFd, init: Pid, plan: &Plan) -> io::Result<()> {
    let root = path_fd::find(format!("/proc/{init}/root").as_str(), OFlag::O_DIRECTORY)?;
    let kinds = libc::CLONE_NEWNS | (plan.namespaces & libc::CLONE_NEWPID);
    setns(process, CloneFlags::from_bits_truncate(kinds))?;
    Ok(make_root(&root)?)
}

/// Enters all other namespaces that mounts depend on, as the container's root.
fn enter_rest(process: &OwnedFd, plan: &Plan, join_user: bool) -> io::Result<()> {
    let user = if join_user { libc::CLONE_NEWUSER } else { 0 };
    let kinds = plan.namespaces
        & (libc::CLONE_NEWNET | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS | libc::CLONE_NEWCGROUP);
    if kinds | user != 0 {
        setns(process, CloneFlags::from_bits_truncate(kinds | user))?;
    }
    if join_user {
        let (uid, gid) = (Uid::from_raw(0), Gid::from_raw(0));
        setresgid(gid, gid, gid)?;
        setresuid(uid, uid, uid)?;
    }
    super::die_with_parent();
    Ok(())
}

/// Makes all of `plan` but what is done last, as a process that is in the container's namespaces.
///
/// # Errors
/// Names what could not be done.
pub fn inside(plan: &Plan, sources: &Sources, own_cgroup: Option<PathBuf>) -> Result<()> {
    // Every mode is given in full.
    umask(Mode::empty());
    let root = Root::open(&plan.rootfs).step(|| at("open", &plan.rootfs))?;
    // A slave where that is asked for: what the host mounts below it gets here. Else the
    // root is apart from the host, as with runc.
    let slave = plan.propagation & libc::MS_SLAVE != 0;
    let apart = if slave {
        libc::MS_SLAVE
    } else {
        libc::MS_PRIVATE
    };
    propagate(root.dir(), apart)?;
    let mounter = Mounter {
        root: &root,
        sources,
        own_cgroup,
        label: plan.label.as_deref(),
    };
    for mount in &plan.mounts {
        mounter.mount(mount)?;
    }
    if let Some(nodes) = &plan.devices {
        let user_namespace = plan.has_user_namespace();
        devices::populate(&root, sources, nodes, user_namespace, mounter.label)?;
    }
    protect::must_have_dev_null(&root)?;
    make_cwd(&root, &plan.cwd)?;
    if plan.no_pivot {
        no_pivot::hide_host(&plan.rootfs)?;
    }
    Ok(())
}

/// The working directory, where there is none: runc makes it, libcontainer fails. What else
/// is wrong with it is said by the process that changes to it.
fn make_cwd(root: &Root, cwd: &Path) -> Result<()> {
    match root.find(cwd) {
        Err(err) if err.raw_os_error() == Some(libc::ENOENT) => root
            .directory(cwd)
            .map(drop)
            .step(|| at("make the working directory", cwd)),
        _ => Ok(()),
    }
}
