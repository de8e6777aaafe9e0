//! Processes that are told from a stranger who got their pid.

use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use procfs::ProcError;
use procfs::process::{ProcState, Process};
use serde::{Deserialize, Serialize};

/// A pid with the time at which its process started, in clock ticks since boot
/// (`/proc/PID/stat`, field 22): together they name one process for the whole uptime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRef {
    /// The pid, as the runtime sees it.
    pub pid: i32,
    /// When it started.
    pub start_time: u64,
}

/// What became of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It runs, sleeps, or is stopped or frozen.
    Alive,
    /// It has exited; somebody has yet to reap it.
    Zombie,
    /// There is no such process; the pid may be another's now.
    Gone,
}

impl ProcessRef {
    /// All processes that there are now, as far as this user may see.
    pub fn all() -> impl Iterator<Item = Self> {
        let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        pids.filter_map(|entry| Self::of(entry.file_name().to_str()?.parse().ok()?))
    }

    /// The process that has `pid` now; `None` where there is none.
    pub fn of(pid: i32) -> Option<Self> {
        let stat = Process::new(pid).and_then(|p| p.stat()).ok()?;
        Some(Self {
            pid,
            start_time: stat.starttime,
        })
    }

    /// This very process.
    pub fn own() -> Option<Self> {
        Self::of(std::process::id() as i32)
    }

    /// What became of it.
    pub fn liveness(&self) -> Liveness {
        self.liveness_in(Path::new("/proc"))
    }

    /// What became of it, by a proc file system that is mounted at `proc`: that of the host,
    /// for a program in a container that has it somewhere else.
    pub fn liveness_in(&self, proc: &Path) -> Liveness {
        let stat = Process::new_with_root(proc.join(self.pid.to_string())).and_then(|p| p.stat());
        let stat = match stat {
            Ok(stat) => stat,
            // A process that may not be looked at is there.
            Err(ProcError::PermissionDenied(_)) => return Liveness::Alive,
            Err(_) => return Liveness::Gone,
        };
        if stat.starttime != self.start_time {
            return Liveness::Gone;
        }
        match stat.state() {
            // Where only its first thread has exited, the others work on.
            Ok(ProcState::Zombie) if stat.num_threads > 1 => Liveness::Alive,
            Ok(ProcState::Zombie | ProcState::Dead) => Liveness::Zombie,
            _ => Liveness::Alive,
        }
    }

    /// The name that it goes by (`comm` in `/proc/PID/stat`); `None` where it is gone.
    pub fn name(&self) -> Option<String> {
        let stat = Process::new(self.pid).and_then(|p| p.stat()).ok()?;
        (stat.starttime == self.start_time).then_some(stat.comm)
    }

    /// Whether it still executes.
    pub fn is_alive(&self) -> bool {
        self.liveness() == Liveness::Alive
    }

    /// A descriptor that stands for this process and for no later one of that pid.
    ///
    /// # Errors
    /// `ESRCH` where it is gone.
    pub fn open(&self) -> nix::Result<OwnedFd> {
        let fd = pidfd_open(self.pid)?;
        // Opened first, compared second: the descriptor cannot change its process.
        match self.liveness() {
            Liveness::Gone => Err(Errno::ESRCH),
            _ => Ok(fd),
        }
    }

    /// Sends a signal (0 only asks whether it could be sent) to this process.
    ///
    /// # Errors
    /// `ESRCH` where it is gone or has exited, `EINVAL` for a signal that is none.
    pub fn signal(&self, signal: i32) -> nix::Result<()> {
        let fd = self.open()?;
        if self.liveness() != Liveness::Alive {
            return Err(Errno::ESRCH);
        }
        pidfd_send_signal(&fd, signal)
    }
}

/// A descriptor for the process that has `pid` now: a child, or this process.
///
/// # Errors
/// As pidfd_open(2).
#[allow(unsafe_code)]
pub fn pidfd_open(pid: i32) -> nix::Result<OwnedFd> {
    // SAFETY: pidfd_open(2) takes two integers; a result of 0 or more is a new
    // descriptor, close-on-exec, that nobody else owns.
    unsafe {
        let fd = Errno::result(libc::syscall(libc::SYS_pidfd_open, pid, 0))?;
        Ok(OwnedFd::from_raw_fd(fd as i32))
    }
}

#[allow(unsafe_code)]
fn pidfd_send_signal(fd: &OwnedFd, signal: i32) -> nix::Result<()> {
    use std::os::fd::AsRawFd;
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: the descriptor is open, and a null siginfo is allowed: the kernel then
    // fills it as kill(2) does.
    let done = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd.as_raw_fd(),
            signal,
            no_info,
            0,
        )
    };
    Errno::result(done).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_followed_from_life_to_reaping() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let process = ProcessRef::of(child.id() as i32).unwrap();
        assert_eq!(process.liveness(), Liveness::Alive);
        process.signal(libc::SIGKILL).unwrap();
        while process.liveness() == Liveness::Alive {
            std::thread::yield_now();
        }
        assert_eq!(process.liveness(), Liveness::Zombie);
        assert_eq!(process.signal(0), Err(Errno::ESRCH));
        child.wait().unwrap();
        assert_eq!(process.liveness(), Liveness::Gone);
    }

    #[test]
    fn a_process_whose_first_thread_has_exited_lives_by_the_others() {
        let script = "import ctypes, sys, threading\n\
             threading.Thread(target=sys.stdin.read).start()\n\
             ctypes.CDLL(None).pthread_exit(None)";
        let Ok(mut child) = std::process::Command::new("python3")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .spawn()
        else {
            println!("skipped: no python3 to have threads");
            return;
        };
        let process = ProcessRef::of(child.id() as i32).unwrap();
        let state = || Process::new(process.pid).unwrap().stat().unwrap().state;
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while state() != 'Z' {
            assert!(std::time::Instant::now() < deadline, "no zombie");
            std::thread::yield_now();
        }
        assert_eq!(process.liveness(), Liveness::Alive);
        process.signal(libc::SIGKILL).unwrap();
        child.wait().unwrap();
        assert_eq!(process.liveness(), Liveness::Gone);
    }

    #[test]
    fn another_process_with_the_same_pid_is_a_stranger() {
        let own = ProcessRef::own().unwrap();
        let earlier = ProcessRef {
            start_time: own.start_time - 1,
            ..own
        };
        assert_eq!(earlier.liveness(), Liveness::Gone);
        assert_eq!(earlier.signal(0), Err(Errno::ESRCH));
    }
}
