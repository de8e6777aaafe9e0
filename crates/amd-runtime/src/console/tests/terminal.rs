use std::os::fd::{AsFd, IntoRawFd};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::termios::{LocalFlags, OutputFlags, Termios, tcgetattr};
use nix::sys::time::TimeValLike;
use serial_test::serial;

use super::*;
use crate::console::{Proxy, prepare, set_window_size, supervise};

/// Supervises a shell with a terminal of its own.
fn supervise_on_terminal(script: &str) -> i32 {
    prepare(true).unwrap();
    let (master, slave) = pty();
    let proxy = Proxy::start(master).unwrap();
    supervise(shell_on(slave, script), Some(proxy))
        .unwrap()
        .code()
        .into()
}

/// A supervisor with a caller's terminal, which is returned.
fn on_terminal(body: impl FnOnce() -> i32) -> (Process, OwnedFd) {
    let (master, slave) = pty();
    set_window_size(&master, 33, 101).unwrap();
    let process = Process::run(|| {
        // SAFETY: the descriptor is open; login_tty closes it.
        assert_eq!(unsafe { libc::login_tty(slave.into_raw_fd()) }, 0);
        body()
    });
    (process, master)
}

fn type_keys(terminal: &OwnedFd, keys: &str) {
    assert_eq!(
        nix::unistd::write(terminal, keys.as_bytes()).unwrap(),
        keys.len()
    );
}

fn mode(terminal: &OwnedFd) -> Termios {
    tcgetattr(terminal).unwrap()
}

#[test]
#[serial]
fn keys_and_output_pass_as_they_are() {
    let (process, terminal) =
        on_terminal(|| supervise_on_terminal("read line; echo \"<$line>\"; exit 3"));
    process.wait_until_supervising();
    type_keys(&terminal, "hello\r");
    assert_eq!(read_all(terminal), "hello\r\n<hello>\r\n");
    assert_eq!(process.wait(), 3);
}

#[test]
#[serial]
fn an_interrupt_key_is_the_containers() {
    let (process, terminal) = on_terminal(|| {
        supervise_on_terminal("trap 'exit 44' INT; echo ready; while :; do sleep 0.01; done")
    });
    process.wait_until_supervising();
    read_up_to(&terminal, "ready\r\n");
    type_keys(&terminal, "\x03");
    assert_eq!(process.wait(), 44);
}

#[test]
#[serial]
fn the_callers_terminal_is_raw_meanwhile_and_restored_after() {
    let (caller, caller_end) = pty();
    let before = mode(&caller_end);
    let slave = || caller_end.try_clone().unwrap();
    let process = Process::run_with(slave(), slave(), || supervise_on_terminal("read line"));
    process.wait_until_supervising();
    let raw = mode(&caller_end);
    assert!(
        !raw.local_flags
            .intersects(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG)
    );
    assert!(!raw.output_flags.contains(OutputFlags::OPOST));
    type_keys(&caller, "\r");
    assert_eq!(process.wait(), 0);
    assert_eq!(mode(&caller_end), before);
}

#[test]
#[serial]
fn the_callers_terminal_is_restored_after_an_error() {
    let (_caller, caller_end) = pty();
    let before = mode(&caller_end);
    let slave = || caller_end.try_clone().unwrap();
    let process = Process::run_with(slave(), slave(), || {
        let (master, _slave) = pty();
        let proxy = Proxy::start(master).unwrap();
        assert_ne!(
            mode(&std::io::stdin().as_fd().try_clone_to_owned().unwrap()),
            before
        );
        i32::from(supervise(1, Some(proxy)).is_err())
    });
    assert_eq!(process.wait(), 1);
    assert_eq!(mode(&caller_end), before);
}

#[test]
#[serial]
fn a_terminal_that_others_write_to_as_well_goes_on_processing_output() {
    let (caller, caller_end) = pty();
    let (output, stdout) = pipe();
    let stdin = caller_end.try_clone().unwrap();
    let process = Process::run_with(stdin, stdout, || supervise_on_terminal("read line; echo x"));
    process.wait_until_supervising();
    let raw = mode(&caller_end);
    assert!(!raw.local_flags.contains(LocalFlags::ECHO));
    assert!(
        raw.output_flags
            .contains(OutputFlags::OPOST | OutputFlags::ONLCR)
    );
    type_keys(&caller, "\r");
    assert_eq!(read_all(output), "\nx\n");
    assert_eq!(process.wait(), 0);
}

#[test]
#[serial]
fn the_containers_terminal_has_the_callers_size_and_follows_it() {
    let (process, terminal) = on_terminal(|| {
        supervise_on_terminal(
            "trap 'stty size; exit 0' WINCH; stty size; while :; do sleep 0.01; done",
        )
    });
    process.wait_until_supervising();
    assert_eq!(read_up_to(&terminal, "\n"), "33 101\r\n");
    set_window_size(&terminal, 50, 120).unwrap();
    assert_eq!(read_all(terminal), "50 120\r\n");
    assert_eq!(process.wait(), 0);
}

#[test]
#[serial]
fn all_output_is_written_before_the_end() {
    let lines = 50_000;
    let (process, terminal) = on_terminal(|| supervise_on_terminal("seq 1 50000; exit 9"));
    let expected: String = (1..=lines).map(|line| format!("{line}\r\n")).collect();
    let output = read_all(terminal);
    assert!(
        output == expected,
        "{} of {} bytes",
        output.len(),
        expected.len()
    );
    assert_eq!(process.wait(), 9);
}

#[test]
#[serial]
fn without_a_callers_terminal_lines_end_in_a_bare_newline() {
    let (output, stdout) = pipe();
    let process = Process::run_with(null(), stdout, || supervise_on_terminal("echo a; echo b"));
    assert_eq!(read_all(output), "a\nb\n");
    assert_eq!(process.wait(), 0);
}

#[test]
#[serial]
fn a_pipe_on_stdin_is_typed_into_the_terminal_and_its_end_is_not() {
    let ((stdin, keys), (output, stdout)) = (pipe(), pipe());
    let process = Process::run_with(stdin, stdout, || {
        supervise_on_terminal(
            "read line; echo \"<$line>\"
             (sleep 0.3; echo still here; kill -TERM $$) & read more; echo ended",
        )
    });
    type_keys(&keys, "hi\n");
    drop(keys);
    assert_eq!(read_all(output), "hi\n<hi>\nstill here\n");
    assert_eq!(process.wait(), 143);
}

#[test]
#[serial]
fn a_reader_that_goes_away_does_not_stop_the_container() {
    let (output, stdout) = pipe();
    let process = Process::run_with(null(), stdout, || {
        supervise_on_terminal("seq 1 50000; exit 6")
    });
    read_up_to(&output, "1\n");
    drop(output);
    assert_eq!(process.wait(), 6);
}

#[test]
#[serial]
fn a_signal_ends_the_wait_for_a_reader_that_reads_no_more() {
    let (output, stdout) = pipe();
    let process = Process::run_with(null(), stdout, || {
        supervise_on_terminal("exec seq 1 10000000")
    });
    process.wait_until_supervising();
    read_up_to(&output, "1\n");
    process.kill(libc::SIGTERM);
    process.wait_until_signals_are_taken();
    // Either it has not seen yet that the shell is gone, or it waits for us to read.
    wait_until("the supervisor gives up", || {
        process.kill(libc::SIGTERM);
        state(process.0.as_raw()) == 'Z'
    });
    assert_eq!(process.wait(), 143);
}

#[test]
#[serial]
#[allow(clippy::zombie_processes, reason = "the supervisor waits for it")]
fn a_process_left_behind_with_the_terminal_is_not_waited_for() {
    let (output, stdout) = pipe();
    let start = Instant::now();
    let process = Process::run_with(null(), stdout, || {
        let (master, slave) = pty();
        let proxy = Proxy::start(master).unwrap();
        // It leads no session: the kernel would hang the terminal up at its end.
        let child = Command::new("sh")
            .args(["-c", "yes & sleep 0.3; echo done; exit 2"])
            .stdout(slave)
            .spawn()
            .unwrap();
        supervise(child.id() as i32, Some(proxy))
            .unwrap()
            .code()
            .into()
    });
    // Slower than it writes, so that the terminal always holds more.
    let (mut text, mut chunk) = (Vec::new(), [0; 4096]);
    while let count @ 1.. = nix::unistd::read(&output, &mut chunk).unwrap() {
        text.extend_from_slice(&chunk[..count]);
        assert!(start.elapsed() < PATIENCE, "still {} bytes", text.len());
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(text.windows(5).any(|line| line == b"done\n"));
    assert_eq!(process.wait(), 2);
}

#[test]
#[serial]
fn a_terminal_that_the_container_closed_costs_no_time() {
    let process = Process::run_with(null(), null(), || {
        let code = supervise_on_terminal("exec </dev/null >/dev/null 2>&1; sleep 0.5; exit 7");
        let used = getrusage(UsageWho::RUSAGE_SELF).unwrap();
        let used = used.user_time() + used.system_time();
        assert!(used.num_milliseconds() < 200, "{used}");
        code
    });
    assert_eq!(process.wait(), 7);
}
