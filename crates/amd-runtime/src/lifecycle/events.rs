//! `events`: what a container uses, and what befalls it.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::status::Status;
use super::{ContainerId, Runtime};
use crate::cgroup::Cgroup;
use crate::cgroup::oom::OomWatch;
use crate::cgroup::stats::Stats;
use crate::error::{Error, Result};

/// What a watch over a container saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The kernel killed processes of it for want of memory, this many times.
    OutOfMemory(u64),
    /// Its program has exited.
    Stopped,
    /// Nothing in the time given.
    Nothing,
}

/// A watch over a container that runs.
#[derive(Debug)]
pub struct Watch {
    init: OwnedFd,
    oom: Option<OomWatch>,
}

impl Watch {
    /// Waits up to `patience` for something to happen.
    ///
    /// # Errors
    /// Where poll(2) or a counter of the kernel fails.
    pub fn next(&mut self, patience: Duration) -> Result<Notice> {
        // None where that is beyond the end of time.
        let deadline = Instant::now().checked_add(patience);
        let left = || {
            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            left.unwrap_or(Duration::MAX)
        };
        loop {
            // A little more, or the last fraction of a millisecond would be a busy loop.
            let timeout = left().saturating_add(Duration::from_millis(1));
            let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
            let mut fds = vec![PollFd::new(self.init.as_fd(), PollFlags::POLLIN)];
            fds.extend(self.oom.as_ref().map(|oom| {
                let (fd, flags) = oom.poll();
                PollFd::new(fd, flags)
            }));
            match poll(&mut fds, timeout) {
                Err(Errno::EINTR) => continue,
                ready => ready.map_err(|err| Error::system("poll")(err.into()))?,
            };
            let ready: Vec<bool> = fds.iter().map(|fd| fd.any() == Some(true)).collect();
            // A process that was killed for want of memory can be the last one.
            if let (Some(true), Some(oom)) = (ready.get(1), &mut self.oom) {
                let count = oom.count().map_err(Error::system("memory events"))?;
                if count > 0 {
                    return Ok(Notice::OutOfMemory(count));
                }
            }
            if ready[0] {
                return Ok(Notice::Stopped);
            }
            if left().is_zero() {
                return Ok(Notice::Nothing);
            }
        }
    }
}

impl Runtime {
    /// What a container uses now.
    ///
    /// # Errors
    /// Where there is no such container, or it has stopped.
    pub fn stats(&self, id: &ContainerId) -> Result<Stats> {
        let (_, record) = self.load(id)?;
        if Status::of(&record) == Status::Stopped {
            return Err(not_running(id));
        }
        Ok(Cgroup::of(&record).stats())
    }

    /// Begins to watch a container.
    ///
    /// # Errors
    /// Where it has stopped, or the kernel does not let it be watched.
    pub fn watch(&self, id: &ContainerId) -> Result<Watch> {
        let (_, record) = self.load(id)?;
        let init = record.init.and_then(|init| init.open().ok());
        let init = init.ok_or_else(|| not_running(id))?;
        let oom = OomWatch::of(&Cgroup::of(&record))
            .map_err(Error::system("cannot watch the memory of the container"))?;
        if oom.is_none() {
            tracing::warn!("memory controller missing: no event tells of a lack of memory");
        }
        Ok(Watch { init, oom })
    }
}

fn not_running(id: &ContainerId) -> Error {
    // runc's words.
    Error::Status(format!("container with id {id} is not running"))
}
