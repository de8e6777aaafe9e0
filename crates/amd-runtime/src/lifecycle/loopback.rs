//! The loopback device of a new network namespace.
//!
//! It comes up down, and programs that talk to themselves over 127.0.0.1 fail. runc
//! brings it up (its network strategy `loopback`); libcontainer does not.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::thread;

use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::spec::has_new_namespace;

/// Brings the loopback device up where the spec asks for a network namespace that is
/// new: one of its own, not one at a path.
///
/// # Errors
/// Where the namespace of `pid` cannot be entered or the device not be changed.
pub fn bring_up(spec: &Value, pid: i32) -> Result<()> {
    if !has_new_namespace(spec, "network") {
        return Ok(());
    }
    let path = PathBuf::from(format!("/proc/{pid}/ns/net"));
    let namespace = match File::open(&path) {
        Ok(namespace) => namespace,
        Err(source) => {
            return Err(Error::Io {
                what: "cannot open",
                path,
                source,
            });
        }
    };
    bring_up_in(namespace).map_err(Error::system(
        "cannot bring up the container's loopback device",
    ))
}

/// Only a thread of its own can be in another network namespace.
fn bring_up_in(namespace: File) -> io::Result<()> {
    // An error where the kernel gives none: `thread::spawn` panics.
    let done = thread::Builder::new().spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET)?;
        set_up("lo")
    })?;
    done.join()
        .unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
}

/// Sets `IFF_UP` (netdevice(7)) on a device of this thread's network namespace.
fn set_up(device: &str) -> io::Result<()> {
    let socket = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    let mut request = interface_request(device);
    ioctl(&socket, libc::SIOCGIFFLAGS as libc::Ioctl, &mut request)?;
    #[allow(unsafe_code)]
    // SAFETY: SIOCGIFFLAGS has just filled this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    ioctl(&socket, libc::SIOCSIFFLAGS as libc::Ioctl, &mut request)
}

fn interface_request(device: &str) -> libc::ifreq {
    #[allow(unsafe_code)]
    // SAFETY: ifreq is plain bytes and a union of such, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays the terminator.
    let room = request.ifr_name.len() - 1;
    for (to, from) in request.ifr_name.iter_mut().take(room).zip(device.bytes()) {
        *to = from as libc::c_char;
    }
    request
}

fn ioctl(socket: &OwnedFd, number: libc::Ioctl, request: &mut libc::ifreq) -> io::Result<()> {
    #[allow(unsafe_code)]
    // SAFETY: the descriptor is open, and both numbers take a pointer to an ifreq, which
    // is live and writable for the call.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), number, request as *mut libc::ifreq) };
    if done < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_network_namespace_of_its_own_is_new() {
        let with = |namespaces| {
            has_new_namespace(&json!({"linux": {"namespaces": namespaces}}), "network")
        };
        assert!(with(json!([{"type": "pid"}, {"type": "network"}])));
        assert!(with(json!([{"type": "network", "path": ""}])));
        assert!(!with(json!([{"type": "network", "path": "/run/netns/x"}])));
        assert!(!with(json!([{"type": "pid"}])));
        assert!(!has_new_namespace(&json!({}), "network"));
    }
}
