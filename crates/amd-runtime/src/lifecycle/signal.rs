//! `kill`: signals to the processes of a container.
//!
//! libcontainer's `kill` declares the container stopped whatever the signal, and
//! trusts the pid on record; here the signal goes to the process that was recorded
//! (a pidfd), and the status stays what the process makes of it.

use nix::sys::signal::Signal;

use super::status::Status;
use super::{ContainerId, Runtime};
use crate::cgroup::Cgroup;
use crate::error::{Error, Result};

/// A word that is no signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown signal {0:?}")]
pub struct UnknownSignal(String);

/// The number of the signal that `text` names, in any of the ways that runc takes:
/// `9`, `KILL`, `SIGKILL`, in lower case too, and real-time signals as numbers.
///
/// # Errors
/// [`UnknownSignal`] where there is none.
pub fn parse_signal(text: &str) -> Result<i32, UnknownSignal> {
    let unknown = || UnknownSignal(text.to_owned());
    if let Ok(number) = text.parse::<i32>() {
        return if (0..=64).contains(&number) {
            Ok(number)
        } else {
            Err(unknown())
        };
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") {
        upper
    } else {
        format!("SIG{upper}")
    };
    name.parse::<Signal>()
        .map(|signal| signal as i32)
        .map_err(|_| unknown())
}

impl Runtime {
    /// Sends `signal` to the init of a container, or to all its processes.
    ///
    /// A paused container is thawed after SIGKILL, or it would not die on cgroup v1.
    ///
    /// # Errors
    /// Where the container does not run; with `all`, what is left of a stopped one is
    /// signalled nevertheless.
    pub fn kill(&self, id: &ContainerId, signal: i32, all: bool) -> Result<()> {
        let (_, record) = self.load(id)?;
        let status = Status::of(&record);
        let cgroup = Cgroup::of(&record);
        // Without a PID namespace of its own nothing dies with the init; runc kills all, too, and
        // also where the init has gone before.
        let by_cgroup = !cgroup.is_none() && record.init.is_some();
        if signal == libc::SIGKILL && !record.own_pid_namespace && by_cgroup {
            if cgroup.pids()?.is_empty() {
                return Err(Error::not_running(id));
            }
            return Ok(cgroup.kill()?);
        }
        if all && !cgroup.is_none() {
            cgroup.signal_all(signal)?;
        } else if all {
            for process in super::status::processes_without_cgroup(&record) {
                // Gone since is no error.
                let _ = process.signal(signal);
            }
        } else {
            let init = record.init.filter(|_| status != Status::Stopped);
            let init = init.ok_or_else(|| Error::not_running(id))?;
            init.signal(signal).map_err(|err| match err {
                nix::Error::ESRCH => Error::not_running(id),
                err => Error::system(format!("cannot signal container {id}"))(err.into()),
            })?;
        }
        if status == Status::Paused && signal == libc::SIGKILL {
            cgroup.freeze(false)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named_as_runc_takes_them() {
        for (text, number) in [
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("kill", 9),
            ("sigterm", 15),
            ("USR1", 10),
            ("0", 0),
            ("34", 34),
            ("64", 64),
        ] {
            assert_eq!(parse_signal(text), Ok(number), "{text}");
        }
        for text in ["", "SIG", "NOPE", "-1", "65", "9x", "4294967305"] {
            assert_eq!(parse_signal(text), Err(UnknownSignal(text.into())));
        }
    }
}
