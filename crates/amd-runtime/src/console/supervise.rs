//! Waits for a container's process as a shell would for its own.

use std::io;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::proxy::Proxy;
use super::relay::End;
use super::signals::{BlockedSignals, Meaning, meaning};
use super::{ConsoleError, Result, sys};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this code.
    Code(i32),
    /// A signal with this number killed it.
    Signal(i32),
}

impl ExitStatus {
    /// The exit code that runc and shells give for it: 128 + n for signal n.
    pub fn code(self) -> u8 {
        let code = match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        };
        // The kernel gives 8 bits of code and at most 64 signals.
        u8::try_from(code).unwrap_or(u8::MAX)
    }
}

/// Makes this process one that can [`supervise()`]; to be called before the container is
/// made.
///
/// SIGCHLD gets its default action: a caller that ignores it would have the kernel reap
/// the container's process, and its exit code be lost. With `subreaper`, orphans among
/// our descendants become our children, so that those that a container without a PID
/// namespace leaves behind are reaped.
///
/// # Errors
///
/// If the kernel refuses (`prctl(PR_SET_CHILD_SUBREAPER)`, Linux 3.4).
pub fn prepare(subreaper: bool) -> Result<()> {
    let prepared = sys::reset_child_signal().and_then(|()| {
        if subreaper {
            sys::set_child_subreaper()
        } else {
            Ok(())
        }
    });
    prepared.map_err(ConsoleError::Prepare)
}

/// Waits until `pid`, a child of this process, has exited, and returns how.
///
/// Meanwhile every signal to this process goes to `pid`, but for SIGCHLD, SIGWINCH,
/// SIGPIPE and SIGURG; every child that exits is reaped; and `proxy` copies between the
/// container's terminal and ours. What the container's terminal holds at the end is
/// still written, unless stdout takes no more and a signal says not to wait for it.
///
/// Signals are blocked in the calling thread, which must be the only one.
///
/// # Errors
///
/// If `pid` is no child of this process, or the kernel refuses what it takes to wait.
pub fn supervise(pid: i32, proxy: Option<Proxy>) -> Result<ExitStatus> {
    let failed = |source| ConsoleError::Supervise { pid, source };
    let signals = BlockedSignals::block().map_err(|errno| failed(errno.into()))?;
    Supervisor {
        pid,
        proxy,
        signals,
    }
    .run()
    .map_err(failed)
}

/// The process is ours to reap, so until then its pid cannot become another's.
struct Supervisor {
    pid: i32,
    proxy: Option<Proxy>,
    // Dropped last: the terminal is restored while signals are blocked.
    signals: BlockedSignals,
}

/// What the supervisor waits for.
#[derive(Clone, Copy)]
enum Event {
    Signal,
    Terminal(End),
}

impl Supervisor {
    fn run(mut self) -> io::Result<ExitStatus> {
        // It may have exited before SIGCHLD was blocked.
        let status = match sys::reap(self.pid)? {
            Some((_, status)) => status,
            None => self.attend()?,
        };
        if let Some(proxy) = &mut self.proxy {
            proxy.relay.finish(&self.signals);
        }
        Ok(status)
    }

    /// Signals and the terminal, until the process has exited.
    fn attend(&mut self) -> io::Result<ExitStatus> {
        if let Some(proxy) = &self.proxy {
            // The caller's terminal may have another size than when the proxy started.
            proxy.resize();
        }
        loop {
            for event in self.wait()? {
                match event {
                    Event::Signal => {
                        if let Some(status) = self.handle_signals()? {
                            return Ok(status);
                        }
                    }
                    Event::Terminal(end) => {
                        if let Some(proxy) = &mut self.proxy {
                            proxy.relay.advance(end);
                        }
                    }
                }
            }
        }
    }

    fn wait(&self) -> io::Result<Vec<Event>> {
        let mut events = vec![Event::Signal];
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        for (end, fd) in self.proxy.iter().flat_map(|proxy| proxy.relay.waits_for()) {
            events.push(Event::Terminal(end));
            fds.push(fd);
        }
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let ready = fds.iter().map(|fd| fd.any().unwrap_or(true));
        let events = events.into_iter().zip(ready);
        Ok(events
            .filter(|(_, ready)| *ready)
            .map(|(event, _)| event)
            .collect())
    }

    /// Handles the signals that came. How the process ended, if one of them says so.
    fn handle_signals(&mut self) -> io::Result<Option<ExitStatus>> {
        let mut child_changed = false;
        while let Some(signal) = self.signals.next()? {
            match meaning(signal) {
                Meaning::Forward => self.forward(signal)?,
                Meaning::Child => child_changed = true,
                Meaning::Resize => {
                    if let Some(proxy) = &self.proxy {
                        proxy.resize();
                    }
                }
                Meaning::Ours => {}
            }
        }
        if child_changed { self.reap() } else { Ok(None) }
    }

    /// Fails if there is no such process, which others than we must have reaped.
    fn forward(&self, signal: i32) -> io::Result<()> {
        tracing::debug!(signal, pid = self.pid, "forwarding a signal");
        match sys::kill(self.pid, signal) {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => {
                tracing::warn!(%error, signal, pid = self.pid, "cannot forward a signal");
                Ok(())
            }
            result => result,
        }
    }

    /// Reaps all children that have exited. How the process ended, if it is among them.
    fn reap(&self) -> io::Result<Option<ExitStatus>> {
        let mut ours = None;
        loop {
            match sys::reap(-1) {
                Ok(Some((pid, status))) if pid == self.pid => ours = Some(status),
                Ok(Some(_)) => {}
                Ok(None) => return Ok(ours),
                Err(error) if error.raw_os_error() == Some(libc::ECHILD) && ours.is_some() => {
                    return Ok(ours);
                }
                Err(error) => return Err(error),
            }
        }
    }
}
