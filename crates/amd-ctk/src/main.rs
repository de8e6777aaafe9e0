//! `amd-ctk`: finds AMD GPUs and tells container engines about them.

use std::process::ExitCode;

use musl as _;

fn main() -> ExitCode {
    amd_ctk::main(std::env::args_os())
}
