//! Running hooks.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::Signal;

use super::{Hook, HookState, When};
use crate::state::pidfd_open;

/// Which hook failed, and how, in runc's words.
#[derive(Debug, thiserror::Error)]
#[error("error running {} hook #{index}: {why}", when.name())]
pub struct HookError {
    /// When it should have run.
    pub when: When,
    /// Which of the hooks of that point it is, from 0.
    pub index: usize,
    /// What it said, or what the kernel said.
    pub why: String,
}

/// Runs the hooks of one point, one after the other, each with `state` as its standard
/// input and in the working directory `dir`, where one is given. A hook without an
/// environment has `default_env`.
///
/// # Errors
/// The first that cannot be run, exits with another status than 0, or takes too long: it
/// is then killed. Those after it do not run.
pub fn run(
    when: When,
    hooks: &[Hook],
    state: &HookState,
    dir: Option<&Path>,
    default_env: &[(String, String)],
) -> Result<(), HookError> {
    for (index, hook) in hooks.iter().enumerate() {
        let failed = |why| HookError { when, index, why };
        run_one(hook, state, dir, default_env).map_err(failed)?;
    }
    Ok(())
}

fn run_one(
    hook: &Hook,
    state: &HookState,
    dir: Option<&Path>,
    default_env: &[(String, String)],
) -> Result<(), String> {
    // In memory, and not through pipes: nobody has to read while the hook writes, a
    // process that it leaves behind keeps nothing waiting, and one that does not read its
    // input is no error.
    let io = |err: io::Error| format!("{}: {err}", hook.path);
    let mut input = memory().map_err(io)?;
    let json = serde_json::to_vec(state).map_err(|err| io(err.into()))?;
    input
        .write_all(&json)
        .and_then(|()| input.rewind())
        .map_err(io)?;
    let (stdout, stderr) = (memory().map_err(io)?, memory().map_err(io)?);

    let mut command = Command::new(&hook.path);
    command
        .env_clear()
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(stdout.try_clone().map_err(io)?))
        .stderr(Stdio::from(stderr.try_clone().map_err(io)?));
    if let Some((name, args)) = hook.args.as_deref().and_then(<[String]>::split_first) {
        command.arg0(name).args(args);
    }
    match hook.env.as_deref() {
        Some(env) if !env.is_empty() => {
            command.envs(env.iter().filter_map(|entry| entry.split_once('=')));
        }
        _ => {
            command.envs(default_env.iter().map(|(name, value)| (name, value)));
        }
    }
    if let Some(dir) = dir {
        command.current_dir(dir);
    }
    let mut child = command.spawn().map_err(|err| go_error(&hook.path, &err))?;
    let seconds = hook.timeout.and_then(|seconds| u64::try_from(seconds).ok());
    let status = wait(&mut child, seconds.map(Duration::from_secs)).map_err(io)?;
    match (status, seconds) {
        (Some(status), _) if status.success() => Ok(()),
        (Some(status), _) => Err(format!(
            "{}, stdout: {}, stderr: {}",
            describe(status),
            text(stdout),
            text(stderr)
        )),
        (None, seconds) => Err(format!(
            "hook ran past specified timeout of {}.0s",
            seconds.unwrap_or_default()
        )),
    }
}

/// Waits for a child; `None` where it took longer than `patience`, and was killed.
fn wait(child: &mut Child, patience: Option<Duration>) -> io::Result<Option<ExitStatus>> {
    if let Some(patience) = patience {
        let pidfd = pidfd_open(child.id() as i32)?;
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, timeout)? == 0 {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
    }
    child.wait().map(Some)
}

fn memory() -> io::Result<File> {
    Ok(memfd_create(c"hook", MFdFlags::MFD_CLOEXEC)?.into())
}

fn text(mut file: File) -> String {
    let mut bytes = Vec::new();
    let read = file.rewind().and_then(|()| file.read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(err) => format!("({err})"),
    }
}

/// A status as Go's `os.ProcessState` words it.
fn describe(status: ExitStatus) -> String {
    let Some(signal) = status.signal() else {
        return format!("exit status {}", status.code().unwrap_or(-1));
    };
    let core = if status.core_dumped() {
        " (core dumped)"
    } else {
        ""
    };
    format!("signal: {}{core}", signal_text(signal))
}

/// A signal as Go words those that end hooks.
fn signal_text(signal: i32) -> String {
    match Signal::try_from(signal) {
        Ok(Signal::SIGSYS) => "bad system call".into(),
        Ok(Signal::SIGKILL) => "killed".into(),
        Ok(Signal::SIGTERM) => "terminated".into(),
        Ok(Signal::SIGSEGV) => "segmentation fault".into(),
        Ok(Signal::SIGABRT) => "aborted".into(),
        Ok(Signal::SIGPIPE) => "broken pipe".into(),
        Ok(Signal::SIGINT) => "interrupt".into(),
        Ok(Signal::SIGHUP) => "hangup".into(),
        Ok(other) => other.to_string(),
        Err(_) => format!("signal {signal}"),
    }
}

/// What Go's `os/exec` says where a program cannot be started.
fn go_error(path: &str, err: &io::Error) -> String {
    let why = err.raw_os_error().map_or_else(
        || err.to_string(),
        |code| crate::process::errno_text(nix::errno::Errno::from_raw(code)),
    );
    format!("fork/exec {path}: {why}")
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn state() -> HookState {
        HookState {
            oci_version: "1.2.0".into(),
            id: "c".into(),
            status: "created".into(),
            pid: 7,
            bundle: "/b".into(),
            annotations: [("a".to_owned(), "1".to_owned())].into(),
        }
    }

    fn sh(script: &str) -> Hook {
        Hook {
            path: "/bin/sh".into(),
            args: Some(vec!["sh".into(), "-c".into(), script.into()]),
            env: Some(vec!["A=own".into()]),
            timeout: None,
        }
    }

    #[track_caller]
    fn fails(hooks: &[Hook]) -> String {
        let env = [("B".to_owned(), "default".to_owned())];
        let failed = run(
            When::Poststart,
            hooks,
            &state(),
            Some(Path::new("/usr")),
            &env,
        );
        failed.unwrap_err().to_string()
    }

    #[test]
    fn a_hook_reads_the_state_and_has_its_own_directory_and_environment() {
        let script = "test \"$PWD $A ${B-none}\" = '/usr own none' && grep -q '\"id\":\"c\"' && \
                      exit 0; pwd >&2; exit 1";
        let env = [("B".to_owned(), "default".to_owned())];
        run(
            When::Poststart,
            &[sh(script)],
            &state(),
            Some(Path::new("/usr")),
            &env,
        )
        .unwrap();
        let mut bare = sh("test \"$B\" = default");
        bare.env = None;
        run(When::Poststart, &[bare], &state(), None, &env).unwrap();
    }

    #[test]
    fn a_failure_names_the_hook_its_status_and_what_it_printed() {
        let quiet = sh("exit 0");
        assert_eq!(
            fails(&[quiet, sh("echo out; echo err >&2; exit 3")]),
            "error running poststart hook #1: exit status 3, stdout: out\n, stderr: err\n"
        );
        assert_eq!(
            fails(&[sh("kill -9 $$")]),
            "error running poststart hook #0: signal: killed, stdout: , stderr: "
        );
        let absent = Hook {
            path: "/no/such".into(),
            ..sh("")
        };
        let message = fails(&[absent]);
        assert!(
            message.ends_with("fork/exec /no/such: no such file or directory"),
            "{message}"
        );
    }

    #[test]
    fn a_hook_that_takes_too_long_is_killed() {
        let mut slow = sh("sleep 100 & wait");
        slow.timeout = Some(1);
        let began = Instant::now();
        let message = fails(&[slow]);
        assert!(
            message.ends_with("hook ran past specified timeout of 1.0s"),
            "{message}"
        );
        assert!(began.elapsed() < Duration::from_secs(60));
    }

    #[test]
    fn a_process_that_a_hook_leaves_behind_keeps_nobody_waiting() {
        let began = Instant::now();
        run(When::Poststop, &[sh("sleep 100 &")], &state(), None, &[]).unwrap();
        assert!(began.elapsed() < Duration::from_secs(60));
    }
}
