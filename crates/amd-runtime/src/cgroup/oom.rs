//! Tells when the kernel kills a process of a container for want of memory.
//!
//! v1: an eventfd on `memory.oom_control` (Linux, Documentation/admin-guide/cgroup-v1/memory.rst,
//! "OOM Control"). v2: `memory.events`, whose changes poll(2) tells.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;

use nix::poll::PollFlags;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::Cgroup;
use super::files::Dirs;

/// A watch over the memory of one container.
#[derive(Debug)]
pub struct OomWatch(Kind);

#[derive(Debug)]
enum Kind {
    V1 {
        event: EventFd,
        control: PathBuf,
        // The registration lasts as long as it is open.
        _oom_control: File,
    },
    V2 {
        events: File,
        killed: u64,
    },
}

impl OomWatch {
    /// Begins to watch; `None` where the container is in no memory cgroup.
    ///
    /// # Errors
    /// Where the kernel does not let it be watched.
    pub fn of(cgroup: &Cgroup) -> io::Result<Option<Self>> {
        let dirs = Dirs::new(cgroup.dirs());
        let kind = if cgroup.is_unified() {
            let Some(path) = dirs.path("memory.events") else {
                return Ok(None);
            };
            let mut events = File::open(path)?;
            let killed = oom_kills(&mut events)?;
            Kind::V2 { events, killed }
        } else {
            let Some(path) = dirs.path("memory.oom_control") else {
                return Ok(None);
            };
            let oom_control = File::open(&path)?;
            let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
            let event = EventFd::from_value_and_flags(0, flags)?;
            let control = path.with_file_name("cgroup.event_control");
            let (event_fd, file_fd) = (event.as_fd().as_raw_fd(), oom_control.as_raw_fd());
            fs::write(&control, format!("{event_fd} {file_fd}"))?;
            Kind::V1 {
                event,
                control,
                _oom_control: oom_control,
            }
        };
        Ok(Some(Self(kind)))
    }

    /// What to poll, and for what.
    pub fn poll(&self) -> (BorrowedFd<'_>, PollFlags) {
        match &self.0 {
            Kind::V1 { event, .. } => (event.as_fd(), PollFlags::POLLIN),
            Kind::V2 { events, .. } => (events.as_fd(), PollFlags::POLLPRI),
        }
    }

    /// After the poll: how many times the kernel has killed since the last call, as far as it
    /// tells them apart. The removal of the cgroup wakes the poll, too.
    ///
    /// # Errors
    /// Where the counter cannot be read.
    pub fn count(&mut self) -> io::Result<u64> {
        match &mut self.0 {
            Kind::V1 { event, control, .. } => {
                let count = match event.read() {
                    Err(nix::errno::Errno::EAGAIN) => 0,
                    count => count?,
                };
                Ok(if control.exists() { count } else { 0 })
            }
            Kind::V2 { events, killed } => {
                let now = match oom_kills(events) {
                    // The cgroup is gone.
                    Err(err) if err.raw_os_error() == Some(libc::ENODEV) => *killed,
                    now => now?,
                };
                let more = now.saturating_sub(*killed);
                *killed = now;
                Ok(more)
            }
        }
    }
}

/// `oom_kill` of `memory.events`. To read it from its beginning arms the next poll.
fn oom_kills(events: &mut File) -> io::Result<u64> {
    let mut text = String::new();
    events.rewind()?;
    events.read_to_string(&mut text)?;
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    Ok(count.and_then(|count| count.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_counted_from_the_beginning_of_the_watch() {
        let tmp = tempfile::tempdir().unwrap();
        let write = |name, text: &str| fs::write(tmp.path().join(name), text).unwrap();
        write("cgroup.controllers", "memory");
        write(
            "memory.events",
            "low 0\noom 5\noom_kill 3\noom_group_kill 0\n",
        );
        let cgroup = Cgroup::new(vec![tmp.path().to_owned()]);
        let mut watch = OomWatch::of(&cgroup).unwrap().unwrap();
        assert_eq!(watch.count().unwrap(), 0);
        write("memory.events", "oom_kill 5\n");
        assert_eq!(watch.count().unwrap(), 2);
        assert_eq!(watch.count().unwrap(), 0);
    }

    #[test]
    fn without_the_memory_controller_there_is_nothing_to_watch() {
        let tmp = tempfile::tempdir().unwrap();
        let cgroup = Cgroup::new(vec![tmp.path().to_owned()]);
        assert!(OomWatch::of(&cgroup).unwrap().is_none());
    }
}
