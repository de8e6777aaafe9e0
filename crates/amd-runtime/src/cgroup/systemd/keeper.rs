//! The process that is in a unit before the container's: systemd starts no scope without one.

use std::io;

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid, pause};

/// A process that does nothing. It ends when this is dropped, and with the thread that started it:
/// a create that is killed leaves an empty scope, which systemd removes.
#[derive(Debug)]
pub struct Keeper(Pid);

impl Keeper {
    /// Starts one.
    ///
    /// # Errors
    /// Where it cannot be forked.
    pub fn start() -> io::Result<Self> {
        let parent = getpid();
        // SAFETY: the child makes system calls only, and ends without returning.
        #[allow(unsafe_code)]
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(Self(child)),
            ForkResult::Child => {
                let ends_with_parent = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).is_ok();
                // The parent may have ended before it was asked for.
                while ends_with_parent && getppid() == parent {
                    pause();
                }
                // SAFETY: _exit(2) runs nothing that is the parent's.
                #[allow(unsafe_code)]
                unsafe {
                    libc::_exit(0)
                }
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.0.as_raw().unsigned_abs()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // Gone already is what is wanted.
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_until_it_is_dropped() {
        let keeper = Keeper::start().unwrap();
        let pid = keeper.0;
        kill(pid, None).unwrap();
        drop(keeper);
        assert!(kill(pid, None).is_err());
    }
}
