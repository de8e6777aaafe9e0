//! Containers in the foreground: their terminal, their signals, their exit code.
//!
//! A container with a terminal makes the pseudo-terminal itself and sends us its
//! master over a socket ([`ConsoleListener`]). A [`Proxy`] joins that master to the
//! caller's terminal. [`supervise()`] waits for the container's process, forwards
//! signals to it, and runs the proxy if there is one; without a terminal it is used
//! alone.
//!
//! All of it runs in one thread. The order in a command:
//!
//! 1. [`prepare`], and for a terminal [`ConsoleListener::bind`];
//! 2. the container is created, with [`ConsoleListener::path`] as its console socket;
//! 3. [`ConsoleListener::receive`], [`Proxy::start`], and the container is started;
//! 4. [`supervise()`]. It blocks signals, so no process may be made for the container
//!    meanwhile: it would inherit the mask.

mod error;
mod listener;
mod proxy;
mod raw_mode;
mod relay;
mod signals;
mod supervise;
mod sys;
#[cfg(test)]
mod tests;

pub use error::ConsoleError;
pub use listener::ConsoleListener;
pub use proxy::{Proxy, set_window_size};
pub use supervise::{ExitStatus, prepare, supervise};

type Result<T> = std::result::Result<T, ConsoleError>;
