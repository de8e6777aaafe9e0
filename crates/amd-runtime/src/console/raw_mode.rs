//! The caller's terminal while a container has it.

use std::os::fd::OwnedFd;

use nix::sys::termios::{OutputFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use super::{ConsoleError, Result};

/// A terminal in raw mode; its former mode comes back on drop.
#[derive(Debug)]
pub(super) struct RawMode {
    terminal: OwnedFd,
    before: Termios,
}

impl RawMode {
    /// Passes every key on as it is. If `ours_alone`, all output is the container's and
    /// is left as it is too; else output goes on being processed, since what others
    /// write to the terminal, such as a pager that the container's output goes through,
    /// ends its lines with a bare newline.
    pub(super) fn enter(terminal: OwnedFd, ours_alone: bool) -> Result<Self> {
        let failed = |errno: nix::Error| ConsoleError::Terminal {
            action: "put the terminal into raw mode",
            source: errno.into(),
        };
        let before = tcgetattr(&terminal).map_err(failed)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        if !ours_alone {
            raw.output_flags = before.output_flags;
        }
        tcsetattr(&terminal, SetArg::TCSANOW, &raw).map_err(failed)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // A terminal that is gone needs no mode.
        let _ = tcsetattr(&self.terminal, SetArg::TCSANOW, &self.before);
    }
}

/// Makes the container's terminal end lines with a bare newline, for output that goes
/// to a file or a pipe.
pub(super) fn bare_newlines(master: &OwnedFd) -> Result<()> {
    let failed = |errno: nix::Error| ConsoleError::Terminal {
        action: "set up the container's terminal",
        source: errno.into(),
    };
    let mut mode = tcgetattr(master).map_err(failed)?;
    mode.output_flags.remove(OutputFlags::ONLCR);
    tcsetattr(master, SetArg::TCSANOW, &mode).map_err(failed)
}
