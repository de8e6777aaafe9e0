//! The manual of both programs, made from the definitions of their command lines: man
//! pages, shell completions and the command line reference in `docs/`.
//!
//! Nothing here is part of a program: it runs when packages are made, and its tests hold
//! the manual and the programs together.

pub mod completions;
pub mod man;
pub mod reference;

/// A program that has a manual.
#[derive(Clone, Debug)]
pub struct Program {
    /// What it takes on its command line. Its name is the program's.
    pub command: clap::Command,
    /// The section of the manual, see man(1): 1 for what users run, 8 for what the system does.
    pub section: &'static str,
    /// What its man page says after the options.
    pub notes: &'static [man::Section],
}

/// The programs of this workspace that are installed.
pub fn programs() -> [Program; 2] {
    use clap::CommandFactory as _;
    [
        Program {
            command: amd_ctk::cli::Cli::command(),
            section: "1",
            notes: man::AMD_CTK,
        },
        Program {
            command: amd_runtime::cli::definition(),
            section: "8",
            notes: man::AMD_CONTAINER_RUNTIME,
        },
    ]
}
