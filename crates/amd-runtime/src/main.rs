//! `amd-container-runtime`: the OCI command line on the `amd_runtime` library.

mod cli;
mod logging;
mod report;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
