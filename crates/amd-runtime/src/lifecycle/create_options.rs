//! What the caller of `create` says beside the bundle.

use std::path::PathBuf;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::process::{Plan, descriptors};
use crate::seccomp;

/// How a container is created.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// File that gets the pid of the container's init.
    pub pid_file: Option<PathBuf>,
    /// Socket to which the terminal is sent; for a spec with `terminal` only.
    pub console_socket: Option<PathBuf>,
    /// Whether to chroot where pivot_root(2) is not possible.
    pub no_pivot: bool,
    /// How many descriptors from 3 on the program inherits.
    pub preserve_fds: u32,
    /// Socket to which a pidfd of the init is sent.
    pub pidfd_socket: Option<PathBuf>,
    /// Whether the standard streams of this process are for the container alone, and so
    /// become its user's; not where they are a person's terminal.
    pub give_stdio: bool,
    /// Whether this process, and so the container, is to have a session keyring of the container's:
    /// for programs with keys that it must not see.
    pub new_keyring: bool,
}

impl CreateOptions {
    /// Checks that a socket for the terminal is there where the spec has a `terminal`, and only there.
    ///
    /// # Errors
    /// In runc's words.
    pub(super) fn check_terminal(&self, terminal: bool) -> Result<()> {
        check_terminal(terminal, self.console_socket.is_some())
    }

    /// The plan for the init of a container with this effective spec.
    ///
    /// # Errors
    /// Where the spec is refused, or a descriptor that the program is to inherit is not open.
    pub(super) fn plan(&self, spec: &Value) -> Result<Plan> {
        // Sockets of systemd are behind the standard streams, before what is preserved.
        let listen_fds = descriptors::listen_fds();
        let preserved = listen_fds + self.preserve_fds;
        descriptors::check_preserved(preserved).map_err(Error::Usage)?;
        let filter = match &spec["linux"]["seccomp"] {
            Value::Null => None,
            profile => Some(seccomp::compiled(profile)?),
        };
        let mut plan = Plan::new(&spec["process"], spec, filter)?;
        if listen_fds > 0 {
            plan.set_variable("LISTEN_FDS", &listen_fds.to_string());
            plan.set_variable("LISTEN_PID", "1");
        }
        Ok(plan.inheriting(preserved, self.give_stdio))
    }
}

fn check_terminal(terminal: bool, console_socket: bool) -> Result<()> {
    // runc's checkTerminal, word for word but for the name.
    match (terminal, console_socket) {
        (true, false) => Err(Error::Usage(
            "cannot allocate tty if the container will be detached without setting console socket"
                .into(),
        )),
        (false, true) => Err(Error::Usage(
            "cannot use console socket if the container will not detach or allocate tty".into(),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_and_a_socket_to_send_it_to_go_together() {
        assert!(check_terminal(true, true).is_ok());
        assert!(check_terminal(false, false).is_ok());
        assert!(check_terminal(true, false).is_err());
        assert!(check_terminal(false, true).is_err());
    }
}
