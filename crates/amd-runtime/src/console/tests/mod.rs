//! Supervisors in processes of their own, since they block signals, reap every child
//! and must have one thread only.

#![allow(unsafe_code)]

mod listener;
mod supervise;
mod terminal;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::openpty;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, dup2_stdin, dup2_stdout, fork};

const PATIENCE: Duration = Duration::from_secs(20);

/// A process that runs the code under test.
struct Process(Pid);

impl Process {
    /// Forks a process that ends with the code that `body` returns, 99 if it panics.
    fn run(body: impl FnOnce() -> i32) -> Self {
        // SAFETY: the child has one thread; the C library makes its locks usable there.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => Self(child),
            ForkResult::Child => {
                // A signal that supervisors forward: a test that hangs fails.
                nix::unistd::alarm::set(PATIENCE.as_secs() as u32);
                let code = catch_unwind(AssertUnwindSafe(body)).unwrap_or(99);
                // SAFETY: always safe; the test harness must not run on in the child.
                unsafe { libc::_exit(code) }
            }
        }
    }

    /// As [`run`](Self::run), with these as its stdin and stdout and no other descriptor.
    fn run_with(stdin: OwnedFd, stdout: OwnedFd, body: impl FnOnce() -> i32) -> Self {
        Self::run(|| {
            dup2_stdin(&stdin).unwrap();
            dup2_stdout(&stdout).unwrap();
            std::mem::forget((stdin, stdout));
            // The other ends are the test's, and closed when the test closes them.
            // SAFETY: what owned these descriptors stayed in the other process.
            unsafe { libc::close_range(3, libc::c_uint::MAX, 0) };
            body()
        })
    }

    fn kill(&self, signal: i32) {
        super::sys::kill(self.0.as_raw(), signal).unwrap();
    }

    /// The code that it ended with.
    fn wait(self) -> i32 {
        match waitpid(self.0, None).unwrap() {
            WaitStatus::Exited(_, code) => code,
            other => panic!("{other:?}"),
        }
    }

    /// Waits until signals to it wait for the supervisor. Starting the shell blocks
    /// signals for a moment too, but before there is a descriptor to read them from.
    fn wait_until_supervising(&self) {
        let fds = format!("/proc/{}/fd", self.0);
        wait_until("the supervisor reads signals", || {
            fs::read_dir(&fds).unwrap().any(|fd| {
                fs::read_link(fd.unwrap().path())
                    .is_ok_and(|file| file.as_os_str() == "anon_inode:[signalfd]")
            })
        });
        self.wait_for("SigBlk", |mask| mask != 0);
    }

    /// Waits until the supervisor has seen every signal that was sent to it.
    fn wait_until_signals_are_taken(&self) {
        self.wait_for("ShdPnd", |mask| mask == 0);
    }

    fn wait_for(&self, field: &str, fits: impl Fn(u64) -> bool) {
        wait_until(&format!("{field} of {}", self.0), || {
            let status = fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(field))
                .unwrap();
            fits(u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap())
        });
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The letter of a process's state, as ps shows it.
fn state(pid: i32) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

/// Starts a shell in the place of a container's process, and returns its pid.
fn shell(script: &str) -> i32 {
    Command::new("sh")
        .args(["-c", script])
        .spawn()
        .unwrap()
        .id() as i32
}

/// As [`shell`], with a controlling terminal.
fn shell_on(terminal: OwnedFd, script: &str) -> i32 {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    // SAFETY: dup and login_tty make system calls only; login_tty closes its argument.
    unsafe {
        command.pre_exec(
            move || match libc::login_tty(libc::dup(terminal.as_raw_fd())) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            },
        );
    }
    command.spawn().unwrap().id() as i32
}

/// A pipe: its reading and its writing end.
fn pipe() -> (OwnedFd, OwnedFd) {
    let (reader, writer) = io::pipe().unwrap();
    (reader.into(), writer.into())
}

/// A pseudo-terminal: its master and its slave, both closed on exec.
fn pty() -> (OwnedFd, OwnedFd) {
    let pty = openpty(None, None).unwrap();
    for fd in [&pty.master, &pty.slave] {
        fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    }
    (pty.master, pty.slave)
}

fn null() -> OwnedFd {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .unwrap()
        .into()
}

/// What there is up to the end; the last process's end of a terminal is EIO.
fn read_all(fd: OwnedFd) -> String {
    let mut bytes = Vec::new();
    match File::from(fd).read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.raw_os_error() == Some(libc::EIO) => {}
        Err(error) => panic!("{error}"),
    }
    String::from_utf8(bytes).unwrap()
}

/// What there is up to and with `end`.
fn read_up_to(fd: &OwnedFd, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut byte = [0];
        assert_eq!(
            nix::unistd::read(fd, &mut byte).unwrap(),
            1,
            "ended after {text:?}"
        );
        text.push(byte[0] as char);
    }
    text
}
