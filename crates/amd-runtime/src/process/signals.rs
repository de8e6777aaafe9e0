//! The signal actions of a process before its program, and those that it starts with.

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

/// What ends runc's init while it waits: the Go runtime, which has a handler for every signal, ends
/// by these, and overlooks the others.
const FATAL: [Signal; 14] = [
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGQUIT,
    Signal::SIGILL,
    Signal::SIGTRAP,
    Signal::SIGABRT,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGSEGV,
    Signal::SIGSTKFLT,
    Signal::SIGSYS,
    Signal::SIGXCPU,
    Signal::SIGXFSZ,
];

/// Its exit code then, the Go runtime's.
const ENDED: i32 = 2;

/// Lets signals end an init that waits for `start`: to PID 1 of a PID namespace the kernel delivers
/// none that has no handler (pid_namespaces(7)), and `kill` of a container that is created, or a
/// signal by its pidfd, would do nothing. Any other process ends by them as it is. execve(2) takes
/// handlers away.
pub fn end_by_signals() {
    if std::process::id() != 1 {
        return;
    }
    let end = SigAction::new(SigHandler::Handler(end), SaFlags::empty(), SigSet::empty());
    for signal in FATAL {
        #[allow(unsafe_code)]
        // SAFETY: the handler makes one system call.
        let _ = unsafe { sigaction(signal, &end) };
    }
}

extern "C" fn end(_: libc::c_int) {
    #[allow(unsafe_code)]
    // SAFETY: async-signal-safe (signal-safety(7)).
    unsafe {
        libc::_exit(ENDED)
    }
}

/// A program starts with default signal actions, whatever the caller or the Rust
/// runtime ignores, and nothing blocked. (Handlers that come later go by themselves.)
pub fn default_signals() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    let changeable = |signal: &Signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP);
    for signal in Signal::iterator().filter(changeable) {
        #[allow(unsafe_code)]
        // SAFETY: SIG_DFL installs no handler, so no code of ours can run in one.
        let _ = unsafe { sigaction(signal, &default) };
    }
    let _ = SigSet::empty().thread_set_mask();
}
