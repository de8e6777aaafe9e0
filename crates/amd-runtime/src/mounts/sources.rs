//! Sources of bind mounts, opened with the rights of the host.
//!
//! In a user namespace the container's root may not look into a directory of mode 0700 of
//! another user, may not map ids, and may be refused what the engine may mount. So the
//! process that serves here stays in the host's user namespace, as runc's parent does
//! (`goCreateMountSources`), and hands the opened trees over. It is in the mount
//! namespace of the container: there the kernel has locked the flags that a mount of the
//! host has (mount_namespaces(7)), and a copy of a locked mount is locked, too.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, pause};
use serde::{Deserialize, Serialize};

use super::error::{MountError, Result, Step, at};
use super::node_server;
use super::plan::{Device, IdMap};
use crate::error::chain;
use crate::mount_api::{self, MountAttr, c_path};
use crate::process;

/// What a request or an answer can be long.
const LIMIT: usize = 64 * 1024;

/// A part of the tree that the host sees.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Source {
    /// Its path.
    pub path: PathBuf,
    /// Whether the mounts below it come along.
    pub recursive: bool,
    /// How its ids are mapped.
    pub id_map: Option<IdMap>,
}

/// What is asked for.
#[derive(Debug, Serialize, Deserialize)]
enum Request {
    Tree(Source),
    /// A device node, and the SELinux context of new file systems.
    Node(Device, Option<String>),
}

/// Who opens sources: this process, or another one that is asked.
#[derive(Debug)]
pub struct Sources(Option<OwnedFd>);

/// The answering end.
#[derive(Debug)]
pub struct SourceServer(OwnedFd);

/// A connected pair.
///
/// # Errors
/// Where the kernel gives no sockets.
pub fn pair() -> io::Result<(Sources, SourceServer)> {
    let (asking, answering) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    Ok((Sources(Some(asking)), SourceServer(answering)))
}

impl Sources {
    /// For a process that has the rights of the host itself, and no source with an id mapping.
    pub fn own() -> Self {
        Self(None)
    }

    /// A detached copy of a tree of the host.
    ///
    /// # Errors
    /// With what the other end says.
    pub fn open(&self, source: &Source) -> Result<OwnedFd> {
        match &self.0 {
            None => open(source, Pid::this()),
            Some(server) => Self::ask(server, &Request::Tree(source.clone())),
        }
    }

    /// A device node with the owner that the container's user namespace maps, as a detached mount;
    /// `label` is the SELinux context of new file systems.
    ///
    /// # Errors
    /// Where none can be made: this process has not the rights of the host, either.
    pub fn make_node(&self, device: &Device, label: Option<&str>) -> Result<OwnedFd> {
        let Some(server) = &self.0 else {
            let what = || at("make device node", &device.path);
            return Err(io::Error::from(Errno::EPERM)).step(what);
        };
        let label = label.map(str::to_owned);
        Self::ask(server, &Request::Node(device.clone(), label))
    }

    fn ask(server: &OwnedFd, request: &Request) -> Result<OwnedFd> {
        let lost = || "ask for the source of a mount".to_owned();
        let request = serde_json::to_vec(request)
            .map_err(io::Error::from)
            .step(lost)?;
        send(server.as_fd(), &request, None).step(lost)?;
        match receive(server.as_fd()).step(lost)? {
            (_, Some(tree)) => Ok(tree),
            (message, None) => Err(MountError::Refused(
                String::from_utf8_lossy(&message).into_owned(),
            )),
        }
    }
}

impl SourceServer {
    /// Answers until the other end is closed. `init` is the container's, whose user
    /// namespace maps the ids of mounts that have no mapping of their own.
    ///
    /// # Errors
    /// Where nothing can be received or sent.
    pub fn serve(&self, init: Pid) -> io::Result<()> {
        loop {
            let (request, _) = receive(self.0.as_fd())?;
            if request.is_empty() {
                return Ok(());
            }
            let made = match serde_json::from_slice(&request)? {
                Request::Tree(source) => open(&source, init),
                Request::Node(device, label) => node_server::make(&device, label.as_deref(), init)
                    .step(|| at("make device node", &device.path)),
            };
            match made {
                Ok(tree) => send(self.0.as_fd(), b"+", Some(tree.as_fd()))?,
                Err(error) => send(self.0.as_fd(), chain(&error).as_bytes(), None)?,
            }
        }
    }
}

fn open(source: &Source, init: Pid) -> Result<OwnedFd> {
    let path = c_path(&source.path).step(|| at("open", &source.path))?;
    // SAFETY: AT_FDCWD is no descriptor that could be closed.
    #[allow(unsafe_code)]
    let here = unsafe { BorrowedFd::borrow_raw(libc::AT_FDCWD) };
    let tree = mount_api::clone_tree(here, &path, source.recursive)
        .step(|| at("open_tree", &source.path))?;
    if let Some(map) = &source.id_map {
        map_ids(tree.as_fd(), map, init).step(|| at("map the ids of", &source.path))?;
    }
    Ok(tree)
}

fn map_ids(tree: BorrowedFd<'_>, map: &IdMap, init: Pid) -> io::Result<()> {
    let namespace = match &map.lines {
        None => File::open(format!("/proc/{init}/ns/user"))?,
        Some((uids, gids)) => user_namespace(uids, gids)?,
    };
    let attributes = MountAttr {
        set: libc::MOUNT_ATTR_IDMAP,
        userns_fd: namespace.as_raw_fd().try_into().map_err(io::Error::other)?,
        ..MountAttr::default()
    };
    mount_api::set_attributes(tree, map.recursive, &attributes)
}

/// A user namespace with these mappings. It lives as long as its file is open; a process
/// must have been in it, and is gone when this returns.
fn user_namespace(uids: &str, gids: &str) -> io::Result<File> {
    // Ends when the parent does, too: a child that waits for good must not stay behind.
    let (parent_end, child_end) = socketpair(
        AddressFamily::Unix,
        SockType::SeqPacket,
        None,
        SockFlag::SOCK_CLOEXEC,
    )?;
    // SAFETY: this process has one thread.
    #[allow(unsafe_code)]
    let child = match unsafe { fork() }? {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            super::die_with_parent();
            let done = unshare(CloneFlags::CLONE_NEWUSER);
            let answer = done.err().map_or(0, |errno| errno as i32);
            let _ = send(child_end.as_fd(), &answer.to_ne_bytes(), None);
            loop {
                pause();
            }
        }
    };
    drop(child_end);
    let namespace = mapped(child, parent_end.as_fd(), uids, gids);
    let _ = kill(child, Signal::SIGKILL);
    let _ = waitpid(child, None);
    namespace
}

fn mapped(child: Pid, socket: BorrowedFd<'_>, uids: &str, gids: &str) -> io::Result<File> {
    let (answer, _) = receive(socket)?;
    let errno = <[u8; 4]>::try_from(answer.as_slice()).map_or(libc::EIO, i32::from_ne_bytes);
    if errno != 0 {
        return Err(io::Error::from_raw_os_error(errno));
    }
    let proc = Path::new("/proc").join(child.to_string());
    fs::write(proc.join("uid_map"), uids)?;
    fs::write(proc.join("gid_map"), gids)?;
    File::open(proc.join("ns/user"))
}

fn send(socket: BorrowedFd<'_>, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let bytes = bytes.get(..LIMIT).unwrap_or(bytes);
    process::send(socket, bytes, fd)?;
    Ok(())
}

/// The next message; an empty one when the other end is closed.
fn receive(socket: BorrowedFd<'_>) -> io::Result<(Vec<u8>, Option<OwnedFd>)> {
    Ok(process::receive(socket, LIMIT)?)
}
