//! Which systemd makes the cgroups: that of the system or, for rootless containers, the user's own.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};

use super::bus::BusError;
use crate::rootless::{no_nodes_can_be_made, user_outside};

/// A systemd manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    /// Its runtime directory: `/run/systemd`, or `systemd` in `$XDG_RUNTIME_DIR`.
    runtime: PathBuf,
    /// Whose it is, as the host numbers users; `None` for the system's.
    user: Option<u32>,
}

impl Manager {
    /// The one that makes cgroups for this process.
    pub fn of_caller() -> Self {
        if !no_nodes_can_be_made() {
            return Self {
                runtime: "/run/systemd".into(),
                user: None,
            };
        }
        let user = user_outside();
        let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
        let runtime = own.map_or_else(|| format!("/run/user/{user}").into(), PathBuf::from);
        Self {
            runtime: runtime.join("systemd"),
            user: Some(user),
        }
    }

    /// Whether it can enforce device rules: that of a user cannot.
    pub fn enforces_devices(&self) -> bool {
        self.user.is_none()
    }

    /// The slice of units that name none.
    pub fn default_slice(&self) -> &'static str {
        match self.user {
            Some(_) => "user.slice",
            None => "system.slice",
        }
    }

    /// Where the file of a transient unit is while it is loaded.
    pub fn file_of(&self, unit: &str) -> PathBuf {
        self.runtime.join("transient").join(unit)
    }

    /// A connection to its private socket, and the number of the user to it.
    ///
    /// # Errors
    /// [`BusError::Connect`] where it does not run, or does not take this user.
    pub fn connect(&self) -> Result<(UnixStream, u32), BusError> {
        let socket = self.runtime.join("private");
        match UnixStream::connect(&socket) {
            Ok(stream) => Ok((stream, self.user.unwrap_or_default())),
            Err(source) => Err(BusError::Connect { socket, source }),
        }
    }

    /// The cgroup in which it has its units, without a leading `/`: of the system's the root, unless
    /// it runs in a container. It is itself in `init.scope` there.
    ///
    /// # Errors
    /// As [`Manager::connect`], of a user's.
    pub fn cgroup(&self) -> Result<PathBuf, BusError> {
        let pid = match self.user {
            None => 1,
            // Who listens at the socket.
            Some(_) => getsockopt(&self.connect()?.0, PeerCredentials)
                .map_err(io::Error::from)?
                .pid(),
        };
        let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
        Ok(match (own, self.user) {
            (Some(own), _) => own.strip_suffix("init.scope").unwrap_or_default().into(),
            (None, None) => PathBuf::new(),
            (None, Some(user)) => {
                Path::new("user.slice").join(format!("user-{user}.slice/user@{user}.service"))
            }
        })
    }
}
