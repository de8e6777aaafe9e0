//! The wait for the first move of a process between cgroups, taken while there is other work.
//!
//! The first write to any `cgroup.procs` after a pause waits for an RCU grace period, 5 ms and
//! more; those that follow at once take microseconds (kernel/cgroup/cgroup.c `cgroup_attach_lock`,
//! which is a `percpu_down_write` of one semaphore for all hierarchies). That is a third of what a
//! create takes, and it needs no processor: so a child of this process moves itself to the cgroup
//! where it is already, which changes nothing, and waits in our stead.

use std::ffi::{CStr, CString};
use std::fs;

use libcgroups::common::{CgroupSetup, get_cgroup_setup};
use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, waitpid};

/// Whether no process of a container is moved as a rule, so that there is nothing to wait for: on v2
/// they are born in its cgroup (see [`birth`](super::birth)). A move that is under way would hold
/// them up there.
pub fn is_needless() -> bool {
    matches!(get_cgroup_setup(), Ok(CgroupSetup::Unified))
}

/// A head start that is over when this is dropped.
#[derive(Debug)]
pub struct HeadStart(());

impl HeadStart {
    /// As [`begin`].
    pub fn take() -> Self {
        begin();
        Self(())
    }
}

impl Drop for HeadStart {
    fn drop(&mut self) {
        reap();
    }
}

/// Lets a child of this process take the wait, from now on. Nothing depends on whether it does.
///
/// For `main`, while the process has one thread and no child. The child ends by itself, and is
/// reaped by [`reap`], by nobody else: it sends no signal, so that only a wait with `__WCLONE`
/// sees it.
pub fn begin() {
    let Ok(own) = fs::read_to_string("/proc/self/cgroup") else {
        return;
    };
    let Some(procs) = own.lines().find_map(procs_of) else {
        return;
    };
    // SAFETY: as fork(2), but without a signal at its end; this process has one thread, and the
    // child makes system calls only.
    #[allow(unsafe_code)]
    let pid = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) };
    if pid == 0 {
        move_to(&procs);
        // SAFETY: ends the process, without what a program does at its end.
        #[allow(unsafe_code)]
        unsafe {
            libc::_exit(0)
        }
    }
}

/// Reaps the child that [`begin`] made, before or after this program was executed anew.
pub fn reap() {
    // Until there is none.
    while let Ok(_) | Err(Errno::EINTR) = waitpid(None, Some(WaitPidFlag::__WCLONE)) {}
}

/// The `cgroup.procs` of a line of /proc/PID/cgroup (cgroups(7)), where it is mounted as usual.
fn procs_of(line: &str) -> Option<CString> {
    let mut fields = line.splitn(3, ':');
    let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let mounts: &[&str] = match controllers.strip_prefix("name=").unwrap_or(controllers) {
        "" => &["", "unified"],
        name => &[name],
    };
    mounts.iter().find_map(|mount| {
        let procs = format!("/sys/fs/cgroup/{mount}{path}/cgroup.procs");
        fs::exists(&procs).ok()?.then(|| CString::new(procs).ok())?
    })
}

/// Makes no use of the heap: nobody knows what a forked process finds there.
fn move_to(procs: &CStr) {
    let _ = set_pdeathsig(Signal::SIGKILL);
    // SAFETY: a path that ends in NUL, a buffer of one byte, and numbers. No descriptor of the
    // caller's stays open: who reads our output to its end must not wait for this process.
    #[allow(unsafe_code)]
    unsafe {
        libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0);
        let fd = libc::open(procs.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd >= 0 {
            libc::write(fd, c"0".as_ptr().cast(), 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_a_directory_are_passed_over() {
        for line in ["", "0", "0:", "7:nonsense:/", "0::/no/such/cgroup"] {
            assert_eq!(procs_of(line), None, "{line}");
        }
    }

    #[test]
    fn the_own_cgroup_is_found() {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        let found: Vec<_> = own.lines().filter_map(procs_of).collect();
        let mounted = fs::exists("/sys/fs/cgroup/cgroup.procs").unwrap()
            || fs::exists("/sys/fs/cgroup/unified/cgroup.procs").unwrap();
        assert_eq!(!found.is_empty(), mounted, "{own}");
    }

    #[test]
    fn the_child_is_reaped_and_no_other() {
        let mut other = std::process::Command::new("true").spawn().unwrap();
        begin();
        reap();
        assert!(other.wait().unwrap().success());
        assert_eq!(
            waitpid(None, Some(WaitPidFlag::__WCLONE)),
            Err(Errno::ECHILD)
        );
    }
}
