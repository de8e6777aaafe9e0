//! `amd-container-runtime`: the OCI command line on the `amd_runtime` library.

use std::process::ExitCode;

use musl as _;

fn main() -> ExitCode {
    amd_runtime::cli::main()
}
