//! Copies between a container's terminal and stdin and stdout, without ever waiting
//! for only one of them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};

use super::signals::BlockedSignals;

/// What is copied at once. A pipe that poll(2) calls writable takes this much
/// (`PIPE_BUF`) without blocking; stdin and stdout stay in blocking mode, since the
/// caller shares them.
const CHUNK: usize = 4096;

/// More than a pseudo-terminal holds (4 KiB of line discipline, 64 KiB of buffers), so
/// what the process wrote before it exited is within it. A process that it left behind
/// with the terminal, and that never stops writing, is not waited for.
const LAST_OUTPUT: usize = 128 << 10;

/// One of the relay's ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Stdin,
    Stdout,
    Master,
}

/// A container's terminal, stdin and stdout, and what is on its way between them.
#[derive(Debug)]
pub(super) struct Relay {
    master: OwnedFd,
    stdin: OwnedFd,
    stdout: OwnedFd,
    /// From stdin to the master.
    input: Buffer,
    /// From the master to stdout.
    output: Buffer,
    stdin_ended: bool,
    master_ended: bool,
    stdout_broken: bool,
}

impl Relay {
    /// `master` must be in non-blocking mode.
    pub(super) fn new(master: OwnedFd, stdin: OwnedFd, stdout: OwnedFd) -> Self {
        Self {
            master,
            stdin,
            stdout,
            input: Buffer::new(),
            output: Buffer::new(),
            stdin_ended: false,
            master_ended: false,
            stdout_broken: false,
        }
    }

    pub(super) fn master(&self) -> BorrowedFd<'_> {
        self.master.as_fd()
    }

    /// The ends to poll, and for what. An end with nothing to do is left out: poll(2)
    /// would report its hang-up again and again.
    pub(super) fn waits_for(&self) -> Vec<(End, PollFd<'_>)> {
        let mut ends = Vec::with_capacity(3);
        if !self.stdin_ended && !self.master_ended && self.input.is_empty() {
            ends.push((
                End::Stdin,
                PollFd::new(self.stdin.as_fd(), PollFlags::POLLIN),
            ));
        }
        let mut master = PollFlags::empty();
        master.set(PollFlags::POLLIN, self.output.is_empty());
        master.set(PollFlags::POLLOUT, !self.input.is_empty());
        if !self.master_ended && !master.is_empty() {
            ends.push((End::Master, PollFd::new(self.master.as_fd(), master)));
        }
        if !self.output.is_empty() {
            ends.push((
                End::Stdout,
                PollFd::new(self.stdout.as_fd(), PollFlags::POLLOUT),
            ));
        }
        ends
    }

    /// Copies what `end`, which poll(2) found ready, allows.
    pub(super) fn advance(&mut self, end: End) {
        match end {
            End::Stdin => self.read_stdin(),
            End::Stdout => self.write_stdout(),
            End::Master => {
                if !self.input.is_empty() {
                    self.write_master();
                }
                if self.output.is_empty() {
                    self.read_master();
                }
            }
        }
    }

    /// Copies what the terminal still holds to stdout, once its process has exited. A
    /// signal ends the wait for a stdout that takes no more.
    pub(super) fn finish(&mut self, signals: &BlockedSignals) {
        let mut left = LAST_OUTPUT;
        self.flush(signals);
        while left > 0 && !self.master_ended {
            match self.read_master() {
                0 => break,
                count => left = left.saturating_sub(count),
            }
            self.flush(signals);
        }
    }

    fn flush(&mut self, signals: &BlockedSignals) {
        while !self.output.is_empty() {
            let mut fds = [
                PollFd::new(self.stdout.as_fd(), PollFlags::POLLOUT),
                PollFd::new(signals.as_fd(), PollFlags::POLLIN),
            ];
            let polled = poll(&mut fds, PollTimeout::NONE);
            let stdout_ready = fds[0].any().unwrap_or(true);
            match polled {
                Err(Errno::EINTR) => {}
                Ok(_) if stdout_ready => self.write_stdout(),
                Ok(_) if !signals.told_to_stop() => {}
                Ok(_) | Err(_) => self.give_up_stdout(),
            }
        }
    }

    fn read_stdin(&mut self) {
        match self.input.fill(&self.stdin) {
            // As runc: the end of our stdin is not the end of the container's terminal.
            Ok(0) => self.stdin_ended = true,
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            // EIO: we are in the background and may not read the terminal.
            Err(error) => {
                tracing::debug!(%error, "stdin ended");
                self.stdin_ended = true;
            }
        }
    }

    fn write_master(&mut self) {
        match self.input.empty_into(&self.master) {
            Ok(()) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(error) => {
                tracing::debug!(%error, "the container's terminal takes no input");
                self.input.clear();
                self.stdin_ended = true;
            }
        }
    }

    /// Reads what there is, and returns how much that was.
    fn read_master(&mut self) -> usize {
        match self.output.fill(&self.master) {
            Ok(0) => self.master_ended = true,
            Ok(count) => {
                if self.stdout_broken {
                    self.output.clear();
                }
                return count;
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            // EIO: no process has the terminal open any longer.
            Err(_) => self.master_ended = true,
        }
        0
    }

    fn write_stdout(&mut self) {
        match self.output.empty_into(&self.stdout) {
            Ok(()) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            // Reading goes on, for the container must not block on a reader that left.
            Err(error) => {
                tracing::debug!(%error, "stdout takes no more output");
                self.give_up_stdout();
            }
        }
    }

    fn give_up_stdout(&mut self) {
        self.stdout_broken = true;
        self.output.clear();
    }
}

/// Bytes that were read and not written yet.
#[derive(Debug)]
struct Buffer {
    bytes: Box<[u8; CHUNK]>,
    start: usize,
    end: usize,
}

impl Buffer {
    fn new() -> Self {
        Self {
            bytes: Box::new([0; CHUNK]),
            start: 0,
            end: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn clear(&mut self) {
        (self.start, self.end) = (0, 0);
    }

    /// Replaces the content by what `from` gives.
    fn fill(&mut self, from: &OwnedFd) -> nix::Result<usize> {
        self.clear();
        self.end = read(from, self.bytes.as_mut_slice())?;
        Ok(self.end)
    }

    /// Writes what `to` takes.
    fn empty_into(&mut self, to: &OwnedFd) -> nix::Result<()> {
        self.start += write(to, &self.bytes[self.start..self.end])?;
        Ok(())
    }
}
