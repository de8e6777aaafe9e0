//! Processes that the caller waits for: `run` and `exec` without `--detach`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use amd_runtime::console::{self, ConsoleListener, Proxy};
use amd_runtime::state::ProcessRef;
use anyhow::{Context as _, Result, bail};

/// How long the container's process may take to send its terminal. It has done so by
/// the time that it is built; this bounds a bug.
const CONSOLE_PATIENCE: Duration = Duration::from_secs(10);

/// Refuses options that do not go together, in runc's words (its `checkTerminal`).
pub fn check_console(terminal: bool, detach: bool, console_socket: bool) -> Result<()> {
    if detach && terminal && !console_socket {
        bail!(
            "cannot allocate tty if amd-container-runtime will detach without setting console socket"
        );
    }
    if (!detach || !terminal) && console_socket {
        bail!("cannot use console socket if amd-container-runtime will not detach or allocate tty");
    }
    Ok(())
}

/// Makes a process with `make` (which gets the console socket to use, if any), lets it
/// go with `start`, and stays with it to its end: forwards signals and, for one with
/// a terminal, what is typed and printed. Returns its exit status, 128 + n for one
/// that signal n killed. As a subreaper, this process reaps orphans among its
/// descendants meanwhile.
pub fn attach(
    terminal: bool,
    subreaper: bool,
    make: impl FnOnce(Option<PathBuf>) -> Result<ProcessRef>,
    start: impl FnOnce() -> Result<()>,
) -> Result<ExitCode> {
    console::prepare(subreaper)?;
    let listener = if terminal {
        Some(ConsoleSocket::new()?)
    } else {
        None
    };
    let process = make(listener.as_ref().map(|l| l.listener.path().to_owned()))?;
    let proxy = match listener {
        Some(socket) => Some(Proxy::start(socket.listener.receive(CONSOLE_PATIENCE)?)?),
        None => None,
    };
    start()?;
    let status = console::supervise(process.pid, proxy)?;
    Ok(ExitCode::from(status.code()))
}

/// A console socket in a private directory, removed with it.
struct ConsoleSocket {
    listener: ConsoleListener,
    dir: PathBuf,
}

impl ConsoleSocket {
    fn new() -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        // A new directory, so that nobody can have put anything there before.
        let dir = PathBuf::from(format!("/run/amd-container-console.{}", std::process::id()));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("cannot create {dir:?}"))?;
        let listener = ConsoleListener::bind(&dir)?;
        Ok(Self { listener, dir })
    }
}

impl Drop for ConsoleSocket {
    fn drop(&mut self) {
        // Nothing but an empty directory on a tmpfs is lost if this fails.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
