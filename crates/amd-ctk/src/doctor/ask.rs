//! Programs that are asked something, and cannot keep the asker waiting.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// More than any answer.
const MOST_BYTES: usize = 64 << 10;

/// How long a program that was killed has until it is left to whoever reaps orphans: one that
/// waits for a dead disk cannot be killed.
const DYING: Duration = Duration::from_millis(200);

/// A program that was started, and has not answered yet.
#[derive(Debug)]
pub(super) struct Asked {
    child: Child,
    stdout: ChildStdout,
}

/// Starts a program that says something on standard output.
///
/// # Errors
/// As execve(2).
pub(super) fn ask(program: &Path, args: &[&str]) -> io::Result<Asked> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child.stdout.take().ok_or(Errno::EPIPE)?;
    Ok(Asked { child, stdout })
}

impl Asked {
    /// What the program says until then; it has ended, or is killed.
    pub(super) fn answer(mut self, until: Instant) -> String {
        let mut answer = Vec::new();
        let mut chunk = [0; 4096];
        while answer.len() < MOST_BYTES && self.is_readable(until) {
            match self.stdout.read(&mut chunk) {
                Ok(0) | Err(_) => break,
                Ok(length) => answer.extend_from_slice(&chunk[..length]),
            }
        }
        let Self { mut child, stdout } = self;
        // Who has more to say need not wait for a reader.
        drop(stdout);
        if !has_ended(&mut child, until) && child.kill().is_ok() {
            has_ended(&mut child, Instant::now() + DYING);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Whether there is something to read, or the end, until then.
    fn is_readable(&self, until: Instant) -> bool {
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.stdout.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Err(Errno::EINTR) => {}
                ready => return ready.is_ok_and(|ready| ready > 0),
            }
        }
    }
}

/// Whether a child ends until then; it is reaped.
fn has_ended(child: &mut Child, until: Instant) -> bool {
    const PAUSE: Duration = Duration::from_millis(1);
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < until => thread::sleep(PAUSE),
            Ok(None) => return false,
            // There is none any more.
            Ok(Some(_)) | Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a shell says in some seconds, and how long that took.
    fn said(script: &str, seconds: u64) -> (String, Duration) {
        let began = Instant::now();
        let asked = ask(Path::new("/bin/sh"), &["-c", script]).unwrap();
        let answer = asked.answer(began + Duration::from_secs(seconds));
        (answer, began.elapsed())
    }

    #[test]
    fn an_answer_is_not_waited_for_longer_than_it_takes() {
        let (answer, took) = said("echo 1.2.3; exit 1", 60);
        assert_eq!(answer, "1.2.3\n");
        assert!(took < Duration::from_secs(30), "{took:?}");
    }

    #[test]
    fn who_says_nothing_is_not_waited_for() {
        for script in [
            "exec sleep 300",
            "exec sleep 300 >&-",
            "trap '' TERM; exec sleep 300",
            // The pipe stays open in a process of its own.
            "sleep 60 & exit 0",
        ] {
            let (answer, took) = said(script, 1);
            assert_eq!(answer, "", "{script}");
            assert!(took < Duration::from_secs(30), "{script}: {took:?}");
        }
    }

    #[test]
    fn who_says_no_end_of_things_is_stopped() {
        let (answer, took) = said("exec yes", 60);
        assert!(answer.len() < 2 * MOST_BYTES, "{}", answer.len());
        assert!(took < Duration::from_secs(30), "{took:?}");
    }
}
