//! Children that a failed build leaves behind.

use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use procfs::process::Process;

/// How long a child that was killed may take to exit.
const PATIENCE: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_micros(200);

/// The name that libcontainer gives to the processes it forks, before they become
/// the container's program (`prctl(PR_SET_NAME)`).
pub const LIBCONTAINER_PROCESS: &str = "youki:[";

/// Ends the processes that libcontainer forked for a build that failed, and waits for them.
///
/// libcontainer does neither; where there is a cgroup, what is in it is killed later. Where nobody else reaps such a process, as under an init that
/// only waits for its own, it stays a zombie in the container's PID namespace, and the
/// kernel does not let the container's init exit before it is gone.
pub fn reap_failed_build() {
    let deadline = Instant::now() + PATIENCE;
    for pid in children() {
        let named = Process::new(pid).and_then(|p| p.stat());
        if !named.is_ok_and(|stat| stat.comm.starts_with(LIBCONTAINER_PROCESS)) {
            continue;
        }
        // Gone already is what we want.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        while let Ok(WaitStatus::StillAlive) =
            waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG))
        {
            if Instant::now() > deadline {
                tracing::warn!(pid, "a process of the failed build does not exit");
                return;
            }
            sleep(PAUSE);
        }
    }
}

/// Pids of the children of this thread (proc(5), `/proc/PID/task/TID/children`).
fn children() -> Vec<i32> {
    let list = std::fs::read_to_string("/proc/thread-self/children").unwrap_or_default();
    list.split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_of_others_are_left_alone() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id() as i32;
        assert!(children().contains(&pid));
        reap_failed_build();
        // It is still there to be waited for.
        assert!(child.wait().unwrap().success());
    }
}
