//! `amd-ctk`: finds AMD GPUs and tells container engines about them.

use std::process::ExitCode;

/// musl's own takes and gives back memory of the kernel a hundred times where this does so eight times.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    amd_ctk::main(std::env::args_os())
}
