use std::io::IoSlice;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::Path;

use nix::pty::openpty;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::*;
use crate::console::{ConsoleError, ConsoleListener};

/// Connects as libcontainer does: by a link with a short name in another directory.
fn connect(listener: &ConsoleListener) -> UnixStream {
    let container = tempfile::tempdir().unwrap();
    symlink(listener.path(), container.path().join("console-socket")).unwrap();
    let dir = File::open(container.path()).unwrap();
    UnixStream::connect(format!("/proc/self/fd/{}/console-socket", dir.as_raw_fd())).unwrap()
}

fn send(stream: &UnixStream, fds: &[&OwnedFd]) {
    let fds: Vec<_> = fds.iter().map(|fd| fd.as_raw_fd()).collect();
    let control = [ControlMessage::ScmRights(&fds)];
    let control = if fds.is_empty() { &[][..] } else { &control };
    let text = [IoSlice::new(b"/dev/ptmx")];
    sendmsg::<()>(stream.as_raw_fd(), &text, control, MsgFlags::empty(), None).unwrap();
}

fn receive_what(send_to: impl Fn(&UnixStream)) -> Result<OwnedFd, ConsoleError> {
    let dir = tempfile::tempdir().unwrap();
    let listener = ConsoleListener::bind(dir.path()).unwrap();
    let stream = connect(&listener);
    send_to(&stream);
    drop(stream);
    listener.receive(PATIENCE)
}

#[test]
fn the_terminal_that_was_sent_is_received() {
    let terminal = openpty(None, None).unwrap();
    let master = receive_what(|stream| send(stream, &[&terminal.master])).unwrap();
    nix::unistd::write(&master, b"typed\n").unwrap();
    assert_eq!(read_up_to(&terminal.slave, "\n"), "typed\n");
}

#[test]
fn the_terminal_is_closed_on_exec() {
    let terminal = openpty(None, None).unwrap();
    let master = receive_what(|stream| send(stream, &[&terminal.master])).unwrap();
    let flags = nix::fcntl::fcntl(master.as_fd(), nix::fcntl::FcntlArg::F_GETFD).unwrap();
    assert_eq!(flags, libc::FD_CLOEXEC);
}

#[test]
fn a_state_directory_may_have_a_path_longer_than_a_socket_address() {
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("d".repeat(150)).join("e".repeat(150));
    fs::create_dir_all(&long).unwrap();
    let listener = ConsoleListener::bind(&long).unwrap();
    assert!(listener.path().starts_with(&long));
    let terminal = openpty(None, None).unwrap();
    send(&connect(&listener), &[&terminal.master]);
    listener.receive(PATIENCE).unwrap();
}

#[test]
fn listeners_share_a_directory_and_leave_nothing_there() {
    let dir = tempfile::tempdir().unwrap();
    let one = ConsoleListener::bind(dir.path()).unwrap();
    let two = ConsoleListener::bind(dir.path()).unwrap();
    assert_ne!(one.path(), two.path());
    assert!(one.path().exists() && two.path().exists());
    drop((one, two));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_container_that_sends_nothing_is_waited_for_so_long() {
    let dir = tempfile::tempdir().unwrap();
    let listener = ConsoleListener::bind(dir.path()).unwrap();
    let timeout = Duration::from_millis(50);
    for _connected in [None, Some(connect(&listener))] {
        let start = Instant::now();
        let error = listener.receive(timeout).unwrap_err();
        assert!(matches!(error, ConsoleError::Timeout { .. }), "{error}");
        assert!((timeout..PATIENCE / 2).contains(&start.elapsed()));
    }
}

#[test]
fn what_is_no_terminal_is_refused() {
    let terminal = openpty(None, None).unwrap();
    let (file, _writer) = pipe();
    for (fds, complaint) in [
        (
            &[][..],
            "the container sent no descriptor instead of its terminal",
        ),
        (
            &[&file],
            "the container sent a descriptor of another kind instead of its terminal",
        ),
        (
            &[&terminal.master, &terminal.slave],
            "the container sent several descriptors instead of its terminal",
        ),
    ] {
        assert_eq!(
            receive_what(|stream| send(stream, fds))
                .unwrap_err()
                .to_string(),
            complaint
        );
    }
    let hung_up = receive_what(|_| {}).unwrap_err();
    assert!(hung_up.to_string().contains("no descriptor"), "{hung_up}");
}

#[test]
fn a_directory_that_is_missing_is_an_error_that_names_the_socket() {
    let error = ConsoleListener::bind(Path::new("/nonexistent")).unwrap_err();
    let text = error.to_string();
    assert!(
        text.starts_with("cannot listen on the console socket /nonexistent/console-"),
        "{text}"
    );
}
