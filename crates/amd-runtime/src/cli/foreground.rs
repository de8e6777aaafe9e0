//! Processes that the caller waits for: `run` and `exec` without `--detach`.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::cgroup::head_start;
use crate::console::{self, ConsoleListener, Proxy};
use crate::state::ProcessRef;

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
///
/// A process that was made and cannot be attached to is killed.
pub fn attach(
    root: &Path,
    terminal: bool,
    subreaper: bool,
    make: impl FnOnce(Option<PathBuf>) -> Result<ProcessRef>,
    start: impl FnOnce() -> Result<()>,
) -> Result<ExitCode> {
    console::prepare(subreaper)?;
    let listener = if terminal {
        Some(ConsoleSocket::new(root)?)
    } else {
        None
    };
    let process = make(listener.as_ref().map(|l| l.listener.path().to_owned()))?;
    head_start::reap();
    let attached = listener
        .map(|socket| {
            socket
                .listener
                .receive(CONSOLE_PATIENCE)
                .and_then(Proxy::start)
        })
        .transpose()
        .map_err(anyhow::Error::from)
        .and_then(|proxy| {
            start()?;
            Ok(console::supervise(process.pid, proxy)?)
        });
    let status = attached.inspect_err(|_| {
        // Gone already is as good.
        let _ = process.signal(libc::SIGKILL);
    })?;
    Ok(ExitCode::from(status.code()))
}

/// What the names of these directories begin with. No container can have such a name.
const PREFIX: &str = "console:";

/// Removes the directories of commands that were killed.
fn remove_abandoned(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
        if pid.is_some_and(|pid| ProcessRef::of(pid).is_none()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A console socket in a private directory, removed with it.
struct ConsoleSocket {
    listener: ConsoleListener,
    dir: PathBuf,
}

impl ConsoleSocket {
    fn new(root: &Path) -> Result<Self> {
        // A new directory, so that nobody can have put
        // anything there before; one of this pid was left by a process that is gone.
        remove_abandoned(root);
        let dir = root.join(format!("{PREFIX}{}", std::process::id()));
        let _ = fs::remove_dir_all(&dir);
        fs::DirBuilder::new()
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
        let _ = fs::remove_dir_all(&self.dir);
    }
}
