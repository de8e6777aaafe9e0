//! Docker containers under runc and under our runtime, side by side.
//!
//! A case is a script of docker commands, in a table of its topic's file. It is run twice in one
//! dockerd, once with each runtime; its exit code, standard output and standard error must be
//! the same, each by itself, but for names and ids. What differs nevertheless is in a list in
//! `differences.rs`, with the reason; it fails when it stops to differ.
//!
//! No script may depend on time or on the order of two streams: it waits for what it needs with
//! `await`, and prints what both runtimes must agree on.

#[path = "docker_parity/compare.rs"]
mod compare;
#[path = "docker_parity/differences.rs"]
mod differences;
#[path = "docker_parity/normalise.rs"]
mod normalise;
#[path = "docker_parity/script.rs"]
mod script;

#[path = "docker_parity/commands.rs"]
mod commands;
#[path = "docker_parity/devices.rs"]
mod devices;
#[path = "docker_parity/exec.rs"]
mod exec;
#[path = "docker_parity/exit_codes.rs"]
mod exit_codes;
#[path = "docker_parity/filesystem.rs"]
mod filesystem;
#[path = "docker_parity/limits.rs"]
mod limits;
#[path = "docker_parity/namespaces.rs"]
mod namespaces;
#[path = "docker_parity/privileges.rs"]
mod privileges;
#[path = "docker_parity/signals.rs"]
mod signals;
#[path = "docker_parity/streams.rs"]
mod streams;
