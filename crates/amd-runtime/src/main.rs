//! `amd-container-runtime`: the OCI command line on the `amd_runtime` library.

use std::process::ExitCode;

/// musl's own takes and gives back memory of the kernel a hundred times where this does so eight times.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    amd_runtime::cli::main()
}
