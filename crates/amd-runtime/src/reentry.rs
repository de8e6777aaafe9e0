//! This program, executed again for a step that another process of it asked for.
//!
//! libcontainer forks, and lets nobody in between its forks; what it does execute is hooks.
//! A step that has to be done between is a hook that executes this program again, from
//! `/proc/self/exe`, and so from the sealed binary, under a name that [`dispatch`] knows.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

/// The step that makes the root filesystem, see [`crate::mounts`].
pub const ROOTFS: &str = "amd-container-runtime:rootfs";

/// The step that runs the hooks of `create`, see [`crate::hooks`].
pub const HOOKS: &str = "amd-container-runtime:hooks";

/// Set once `main` has asked for its step.
static READY: AtomicBool = AtomicBool::new(false);

/// Does the step for which the program was executed, and ends the process; returns where it
/// was executed by somebody else. To be called first in `main`; `ensure_sealed` does.
pub fn dispatch() {
    READY.store(true, Ordering::Relaxed);
    let name = std::env::args().next();
    if name.is_some_and(|name| [ROOTFS, HOOKS].contains(&name.as_str())) {
        // A create that is killed leaves nobody behind who waits for a hook that hangs.
        let _ = nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL);
    }
    if let Some(code) = crate::hooks::create::run_if_asked() {
        std::process::exit(code);
    }
    let mut args = std::env::args();
    if args.next().as_deref() == Some(ROOTFS) {
        let (plan, failure) = (args.next(), args.next());
        let code = crate::mounts::step(&plan.unwrap_or_default(), &failure.unwrap_or_default());
        std::process::exit(code.into());
    }
}

/// Whether the program asks for its step when it is executed. One that does not would run
/// its `main` again instead.
pub fn is_ready() -> bool {
    READY.load(Ordering::Relaxed)
}

/// The hook that executes a step with the numbers of files of the runtime as arguments.
pub(crate) fn hook(step: &str, files: &[RawFd]) -> Value {
    let files = files.iter().map(RawFd::to_string);
    let args: Vec<String> = std::iter::once(step.to_owned()).chain(files).collect();
    json!({"path": "/proc/self/exe", "args": args})
}
