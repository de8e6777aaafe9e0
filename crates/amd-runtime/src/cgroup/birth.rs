//! Processes that are born in a cgroup of v2.
//!
//! To move a process between cgroups is to wait for an RCU grace period (see
//! [`head_start`](super::head_start)); clone3(2) with `CLONE_INTO_CGROUP` (Linux 5.7) makes one
//! there, and waits for nothing.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Pid, fork};

use super::visit::PROCS;
use super::{CgroupError, io_error};

/// A cgroup of v2 for processes to be born in. What is mounted over it or its files after it was
/// opened does not matter.
#[derive(Debug)]
pub struct Birthplace {
    dir: OwnedFd,
    path: PathBuf,
}

impl Birthplace {
    /// The cgroup at `path`.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open(path: &Path) -> Result<Self, CgroupError> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(path);
        Ok(Self {
            dir: opened.map_err(io_error("cannot open", path))?.into(),
            path: path.to_owned(),
        })
    }

    /// Forks this process, which must have one thread, so that the child is in the cgroup. Where
    /// the kernel cannot make it there, it moves there first, with the wait that this is.
    ///
    /// # Errors
    /// In the parent where there is no child, and in the child where it is not in the cgroup.
    pub fn fork(&self) -> Result<ForkResult, CgroupError> {
        match self.clone_into(0) {
            Ok(forked) => return Ok(forked),
            // An old kernel, a filter, or a cgroup that this one cannot be said of: a move tells.
            Err(errno) => tracing::debug!("clone3 into cgroup {:?}: {errno}", self.path),
        }
        // SAFETY: one thread, as said above.
        #[allow(unsafe_code)]
        let forked =
            unsafe { fork() }.map_err(|errno| self.failed("cannot fork for")(errno.into()))?;
        if matches!(forked, ForkResult::Child) {
            self.join().map_err(self.failed("cannot join cgroup"))?;
        }
        Ok(forked)
    }

    /// As fork(2), of a process with one thread, for a child of this process's parent that is in the
    /// cgroup. It is past no limit: where there are as many processes as there may be, none is born.
    ///
    /// # Errors
    /// Where the kernel cannot make it there.
    pub fn fork_sibling(&self) -> nix::Result<ForkResult> {
        self.clone_into(libc::CLONE_PARENT as u64)
    }

    fn clone_into(&self, flags: u64) -> nix::Result<ForkResult> {
        // SAFETY: a struct of numbers, for which zero stands for nothing.
        #[allow(unsafe_code)]
        let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
        args.flags = CLONE_INTO_CGROUP | flags;
        // A sibling has that of this process, and may not be given one.
        if flags == 0 {
            args.exit_signal = libc::SIGCHLD as u64;
        }
        args.cgroup = self.dir.as_raw_fd() as u64;
        // SAFETY: as fork(2), on a copy of the stack; the struct is as long as it is said to be. The
        // caller has one thread, so that no lock of the C library is held by another.
        #[allow(unsafe_code)]
        let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of_val(&args)) };
        Ok(match Errno::result(pid)? {
            0 => ForkResult::Child,
            pid => ForkResult::Parent {
                child: Pid::from_raw(pid as i32),
            },
        })
    }

    fn join(&self) -> io::Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let procs = openat(&self.dir, PROCS, flags, Mode::empty())?;
        File::from(procs).write_all(b"0")
    }

    fn failed(&self, what: &'static str) -> impl FnOnce(io::Error) -> CgroupError {
        io_error(what, &self.path)
    }
}

/// linux/sched.h; libc has it as a number that is too small for it.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

#[cfg(test)]
pub(crate) mod tests {
    use nix::sys::wait::{WaitStatus, waitpid};

    use super::*;

    /// The v2 cgroup of this process, where v2 is mounted as usual.
    pub(crate) fn own_cgroup() -> Option<PathBuf> {
        let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
        let below = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
        let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
        let mount = mounts.map(Path::new).into_iter();
        let mut dirs = mount.map(|mount| mount.join(below));
        dirs.find(|dir| dir.join("cgroup.controllers").exists())
    }

    #[test]
    fn a_child_is_born_in_the_cgroup_or_moves_there() {
        let place = own_cgroup().map(|own| own.join("amd-runtime-test-birth"));
        let Some(place) = place.filter(|place| std::fs::create_dir(place).is_ok()) else {
            eprintln!("skipped: cannot make a cgroup of v2");
            return;
        };
        let birthplace = Birthplace::open(&place).unwrap();
        let move_there = |place: &Birthplace| {
            // SAFETY: the child makes system calls only.
            #[allow(unsafe_code)]
            let forked = unsafe { fork() }.unwrap();
            if matches!(forked, ForkResult::Child) {
                let _ = place.join();
            }
            forked
        };
        let be_born = |place: &Birthplace| place.clone_into(0).unwrap();
        for way in [&be_born as &dyn Fn(&Birthplace) -> ForkResult, &move_there] {
            let ForkResult::Parent { child } = way(&birthplace) else {
                // SAFETY: ends the process.
                #[allow(unsafe_code)]
                unsafe {
                    libc::kill(libc::getpid(), libc::SIGSTOP);
                    libc::_exit(7)
                }
            };
            waitpid(child, Some(nix::sys::wait::WaitPidFlag::WUNTRACED)).unwrap();
            let there = std::fs::read_to_string(place.join(PROCS)).unwrap();
            nix::sys::signal::kill(child, nix::sys::signal::Signal::SIGCONT).unwrap();
            let ended = waitpid(child, None).unwrap();
            assert_eq!(there.trim(), child.to_string());
            assert_eq!(ended, WaitStatus::Exited(child, 7));
        }
        std::fs::remove_dir(&place).unwrap();
    }

    #[test]
    fn what_is_no_cgroup_is_refused_by_the_move() {
        let tmp = tempfile::tempdir().unwrap();
        let place = Birthplace::open(tmp.path()).unwrap();
        assert!(place.clone_into(0).is_err());
        assert_eq!(place.join().unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
