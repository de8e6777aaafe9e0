//! Unix sockets: those of other programs, at paths of any length, and descriptors that
//! are passed through them.

use std::ffi::OsStr;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg};

use crate::error::{Error, Result};
use crate::path_fd;

/// Connects to the socket at `path`, which can be longer than the 108 bytes that an
/// address has room for.
///
/// # Errors
/// As connect(2).
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    let (_dir, short) = short(path)?;
    UnixStream::connect(short)
}

/// As [`connect`], to a socket that somebody asked for.
///
/// # Errors
/// Names the socket.
pub fn connect_to(path: &Path) -> Result<UnixStream> {
    connect(path).map_err(Error::system(format!("cannot connect to {path:?}")))
}

/// Receives at `path`, of any length, what [`send_to`] sends there.
///
/// # Errors
/// As bind(2).
pub fn bind(path: &Path) -> io::Result<UnixDatagram> {
    let (_dir, short) = short(path)?;
    UnixDatagram::bind(short)
}

/// Sends `message` to the socket at `path`, see `bind`.
///
/// # Errors
/// As sendto(2).
pub fn send_to(path: &Path, message: &[u8]) -> io::Result<()> {
    let (_dir, short) = short(path)?;
    UnixDatagram::unbound()?.send_to(message, short).map(drop)
}

/// A short path to the same file, good for as long as the directory is open.
fn short(path: &Path) -> io::Result<(OwnedFd, PathBuf)> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
    let name = path.file_name().ok_or_else(invalid)?;
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str() != OsStr::new("") => parent,
        _ => Path::new("."),
    };
    let dir = path_fd::find(parent, OFlag::O_DIRECTORY)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name);
    Ok((dir, short))
}

/// Sends `message` with a descriptor, in one call.
///
/// # Errors
/// As sendmsg(2).
pub fn send_fd(socket: BorrowedFd<'_>, message: &[u8], fd: BorrowedFd<'_>) -> nix::Result<()> {
    send(socket, message, Some(fd)).map(drop)
}

/// Sends `message`, with a descriptor if there is one, in one call; how much of it went.
///
/// # Errors
/// As sendmsg(2).
pub fn send(
    socket: BorrowedFd<'_>,
    message: &[u8],
    fd: Option<BorrowedFd<'_>>,
) -> nix::Result<usize> {
    let fd = fd.map(|fd| [fd.as_raw_fd()]);
    let rights = fd.as_ref().map(|fd| ControlMessage::ScmRights(fd));
    sendmsg::<UnixAddr>(
        socket.as_raw_fd(),
        &[IoSlice::new(message)],
        rights.as_slice(),
        MsgFlags::MSG_NOSIGNAL,
        None,
    )
}

/// Receives up to `limit` bytes, and the descriptor that came with them, if one did. No
/// bytes: the other side has closed its end.
///
/// # Errors
/// As recvmsg(2).
pub fn receive(socket: BorrowedFd<'_>, limit: usize) -> nix::Result<(Vec<u8>, Option<OwnedFd>)> {
    let (bytes, fds) = receive_all(socket, limit)?;
    Ok((bytes, fds.into_iter().next()))
}

/// As [`receive`], with all descriptors that came, four at most; closed at execve(2).
///
/// # Errors
/// As recvmsg(2).
pub fn receive_all(socket: BorrowedFd<'_>, limit: usize) -> nix::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut bytes = vec![0; limit];
    let mut space = cmsg_space!([RawFd; 4]);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let received = loop {
        match recvmsg::<UnixAddr>(socket.as_raw_fd(), &mut parts, Some(&mut space), flags) {
            Err(Errno::EINTR) => {}
            received => break received?,
        }
    };
    let len = received.bytes;
    let mut fds = Vec::new();
    for message in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(received) = message {
            #[allow(unsafe_code)]
            // SAFETY: the kernel has just made them for this process.
            let owned = |fd| unsafe { OwnedFd::from_raw_fd(fd) };
            fds.extend(received.into_iter().map(owned));
        }
    }
    bytes.truncate(len);
    Ok((bytes, fds))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_path_can_be_longer_than_an_address() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().join("d".repeat(120));
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join("socket");
        let (_dir, bound) = short(&path).unwrap();
        let listener = UnixListener::bind(bound).unwrap();
        let sender = connect(&path).unwrap();
        let (receiver, _) = listener.accept().unwrap();
        send_fd(sender.as_fd(), b"hi", std::io::stdin().as_fd()).unwrap();
        let (bytes, fd) = receive(receiver.as_fd(), 16).unwrap();
        assert_eq!((bytes.as_slice(), fd.is_some()), (b"hi".as_slice(), true));
        drop(sender);
        assert_eq!(receive(receiver.as_fd(), 16).unwrap().0, b"");
        let path = dir.join("another");
        let socket = bind(&path).unwrap();
        send_to(&path, b"hi").unwrap();
        assert_eq!(receive(socket.as_fd(), 16).unwrap().0, b"hi");
    }
}
