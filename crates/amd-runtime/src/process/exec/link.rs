//! What an exec and the processes that it forks tell each other.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, send, socketpair};

use crate::process::steps::FILTER;
use crate::process::{ProcessError, socket};

/// The longest message.
const LIMIT: usize = 16 * 1024;

/// One end of a connection, in which a message stays a message.
#[derive(Debug)]
pub struct Link(OwnedFd);

/// The process that becomes the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forked {
    /// Its pid, as the host sees it.
    pub pid: i32,
    /// Whether it is in its cgroup from its birth on.
    pub is_in_cgroup: bool,
}

/// A message of the forked processes.
#[derive(Debug)]
pub enum Message {
    /// The process.
    Forked(Forked),
    /// The process has everything but filter and program.
    Ready,
    /// The filter's descriptor, for its agent.
    Filter(OwnedFd),
    /// It went wrong.
    Error(String),
}

impl Link {
    /// Two connected ends, closed at execve(2).
    ///
    /// # Errors
    /// As socketpair(2).
    pub fn pair() -> nix::Result<(Self, Self)> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        Ok((Self(one), Self(other)))
    }

    /// Sends a message that has no descriptor.
    ///
    /// # Errors
    /// As send(2).
    pub fn send(&self, message: &Message) -> nix::Result<()> {
        let text = match message {
            Message::Forked(Forked { pid, is_in_cgroup }) => match is_in_cgroup {
                true => format!("b{pid}"),
                false => format!("p{pid}"),
            },
            Message::Ready => "r".into(),
            Message::Error(text) => format!("e{text}"),
            // That is what the process itself sends, see `Settled::load_filter`.
            Message::Filter(_) => return Err(Errno::EINVAL),
        };
        let mut bytes = text.into_bytes();
        bytes.truncate(LIMIT);
        send(self.0.as_raw_fd(), &bytes, MsgFlags::MSG_NOSIGNAL).map(drop)
    }

    /// The next message; `None` where the other side has closed its end: the program runs,
    /// or the process has ended.
    ///
    /// # Errors
    /// As recvmsg(2).
    pub fn receive(&self) -> nix::Result<Option<Message>> {
        let (bytes, fd) = socket::receive(self.0.as_fd(), LIMIT)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(match (bytes.as_slice(), fd) {
            ([], _) => None,
            ([kind @ (b'p' | b'b'), pid @ ..], _) => Some(Message::Forked(Forked {
                pid: text(pid).parse().map_err(|_| Errno::EBADMSG)?,
                is_in_cgroup: *kind == b'b',
            })),
            ([b'r'], _) => Some(Message::Ready),
            (FILTER, Some(fd)) => Some(Message::Filter(fd)),
            ([b'e', why @ ..], _) => Some(Message::Error(text(why))),
            _ => return Err(Errno::EBADMSG),
        })
    }

    /// Lets the other side go on.
    ///
    /// # Errors
    /// As send(2).
    pub fn go(&self) -> nix::Result<()> {
        send(self.0.as_raw_fd(), b"g", MsgFlags::MSG_NOSIGNAL).map(drop)
    }

    /// Waits for [`Self::go`] of the other side.
    ///
    /// # Errors
    /// Where the runtime is gone.
    pub fn wait(&self) -> Result<(), ProcessError> {
        match socket::receive(self.0.as_fd(), 1) {
            Ok((bytes, _)) if bytes == b"g" => Ok(()),
            Ok(_) => Err(ProcessError::Refused("the runtime has ended".into())),
            Err(errno) => Err(ProcessError::system("cannot reach the runtime")(errno)),
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
