//! `amd-ctk runtime configure` on a simulated host.

use std::process::Command;

use crate::binary::{ours, runtime_under_test};
use crate::host::SimulatedHost;
use crate::outcome::Outcome;

/// Makes the runtime under test known to `engine` as `amd`, with further options.
///
/// # Panics
/// When it cannot be started.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
pub fn configure(host: &SimulatedHost, engine: &str, options: &[&str]) -> Outcome {
    let mut command = Command::new(ours("amd-ctk", "amd-ctk").unwrap());
    command
        .args(["runtime", "configure", "--runtime", engine])
        .arg("--runtime-path")
        .arg(runtime_under_test().unwrap())
        .args(options);
    Outcome::of(host, &mut command).unwrap()
}
