use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::wait::WaitPidFlag;
use serial_test::serial;

use super::*;
use crate::console::signals::{BlockedSignals, Meaning, meaning};
use crate::console::{ConsoleError, ExitStatus, prepare, supervise};

/// Supervises a shell that runs `script`, its output on the returned pipe.
fn supervised(script: &'static str) -> (Process, OwnedFd) {
    let (output, stdout) = pipe();
    let process = Process::run_with(null(), stdout, move || {
        prepare(true).unwrap();
        supervise(shell(script), None).unwrap().code().into()
    });
    (process, output)
}

#[test]
fn signals_mean_what_they_mean_to_runc() {
    for (signal, expected) in [
        (libc::SIGTERM, Meaning::Forward),
        (libc::SIGINT, Meaning::Forward),
        (libc::SIGHUP, Meaning::Forward),
        (libc::SIGTSTP, Meaning::Forward),
        (libc::SIGCONT, Meaning::Forward),
        (libc::SIGRTMIN() + 3, Meaning::Forward),
        (libc::SIGCHLD, Meaning::Child),
        (libc::SIGWINCH, Meaning::Resize),
        (libc::SIGURG, Meaning::Ours),
        (libc::SIGPIPE, Meaning::Ours),
    ] {
        assert_eq!(meaning(signal), expected, "signal {signal}");
    }
}

#[test]
fn a_status_has_the_code_that_shells_give() {
    for (status, code) in [
        (ExitStatus::Code(0), 0),
        (ExitStatus::Code(255), 255),
        (ExitStatus::Signal(libc::SIGKILL), 137),
        (ExitStatus::Signal(64), 192),
    ] {
        assert_eq!(status.code(), code, "{status:?}");
    }
}

#[test]
#[serial]
fn the_exit_code_is_that_of_the_process() {
    for (script, code) in [("exit 0", 0), ("exit 7", 7), ("exit 255", 255)] {
        assert_eq!(supervised(script).0.wait(), code, "{script}");
    }
}

#[test]
#[serial]
fn a_killed_process_gives_128_and_the_signal() {
    for (script, code) in [
        ("kill -9 $$", 137),
        ("kill -15 $$", 143),
        ("kill -40 $$", 168),
    ] {
        assert_eq!(supervised(script).0.wait(), code, "{script}");
    }
}

#[test]
#[serial]
fn signals_reach_the_process() {
    for signal in [
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGTSTP,
        40,
    ] {
        let (process, output) = supervised(
            "for n in 1 2 10 15 20 40; do trap \"exit $((n + 100))\" $n; done
             echo ready; while :; do sleep 0.01; done",
        );
        process.wait_until_supervising();
        read_up_to(&output, "ready\n");
        process.kill(signal);
        assert_eq!(process.wait(), signal + 100);
    }
}

#[test]
#[serial]
fn signals_about_ourselves_do_not_reach_the_process() {
    let (process, output) = supervised(
        "for n in CHLD PIPE URG WINCH; do trap \"echo $n\" $n; done
         trap 'exit 42' TERM; echo ready; while :; do :; done",
    );
    process.wait_until_supervising();
    read_up_to(&output, "ready\n");
    for signal in [libc::SIGCHLD, libc::SIGPIPE, libc::SIGURG, libc::SIGWINCH] {
        process.kill(signal);
    }
    process.wait_until_signals_are_taken();
    process.kill(libc::SIGTERM);
    assert_eq!(process.wait(), 42);
    assert_eq!(read_all(output), "");
}

#[test]
#[serial]
fn a_stopped_process_has_not_exited() {
    let (process, output) = supervised("echo $$; kill -STOP $$; exit 4");
    process.wait_until_supervising();
    let shell = read_up_to(&output, "\n").trim().parse().unwrap();
    wait_until("the shell is stopped", || state(shell) == 'T');
    process.kill(libc::SIGCONT);
    assert_eq!(process.wait(), 4);
}

#[test]
#[serial]
fn a_process_that_has_exited_before_is_reaped() {
    let process = Process::run(|| {
        let child = shell("exit 5");
        wait_until("the shell has exited", || state(child) == 'Z');
        supervise(child, None).unwrap().code().into()
    });
    assert_eq!(process.wait(), 5);
}

#[test]
#[serial]
fn orphans_of_the_container_become_ours_and_are_reaped() {
    let process = Process::run(|| {
        prepare(true).unwrap();
        let child =
            shell("(sleep 0.1 & exit 0); (sleep 5 >/dev/null 2>&1 & exit 0); sleep 0.5; exit 6");
        assert_eq!(supervise(child, None).unwrap(), ExitStatus::Code(6));
        // The one that still runs is ours, and none that has exited is left.
        let left = waitpid(None, Some(WaitPidFlag::WNOHANG));
        assert_eq!(left, Ok(WaitStatus::StillAlive));
        0
    });
    assert_eq!(process.wait(), 0);
}

#[test]
#[serial]
fn a_signal_that_comes_too_late_does_not_end_the_supervisor() {
    let process = Process::run(|| {
        let signals = BlockedSignals::block().unwrap();
        raise(Signal::SIGTERM).unwrap();
        drop(signals);
        0
    });
    assert_eq!(process.wait(), 0);
}

#[test]
#[serial]
fn a_caller_that_ignores_its_children_does_not_hide_the_exit_code() {
    let process = Process::run(|| {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
        prepare(false).unwrap();
        supervise(shell("exit 8"), None).unwrap().code().into()
    });
    assert_eq!(process.wait(), 8);
}

#[test]
#[serial]
fn a_process_that_is_no_child_is_an_error() {
    let process = Process::run(|| {
        let error = supervise(1, None).unwrap_err();
        assert!(
            matches!(error, ConsoleError::Supervise { pid: 1, .. }),
            "{error}"
        );
        let source = std::error::Error::source(&error).unwrap();
        assert!(
            source.to_string().contains("No child processes"),
            "{source}"
        );
        0
    });
    assert_eq!(process.wait(), 0);
}

#[test]
#[serial]
fn the_signal_mask_is_as_before() {
    let process = Process::run(|| {
        let before = SigSet::thread_get_mask().unwrap();
        assert_eq!(
            supervise(shell("exit 0"), None).unwrap(),
            ExitStatus::Code(0)
        );
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
        0
    });
    assert_eq!(process.wait(), 0);
}
