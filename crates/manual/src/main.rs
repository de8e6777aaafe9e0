//! `manual`: writes the manual of the programs.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;

/// Write what the definitions of the command lines give
#[derive(Debug, Parser)]
enum Cli {
    /// Man pages and shell completions, in the folders of /usr/share
    Share {
        /// In place of /usr/share
        directory: PathBuf,
    },
    /// The command line reference
    Reference {
        /// The project's docs/
        directory: PathBuf,
    },
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    for program in manual::programs() {
        match &cli {
            Cli::Share { directory } => {
                manual::man::write(&program, &directory.join("man"))
                    .and_then(|()| manual::completions::write(&program, directory))
                    .with_context(|| format!("cannot write the manual to {directory:?}"))?;
            }
            Cli::Reference { directory } => {
                let path = directory.join(manual::reference::file_name(&program));
                std::fs::write(&path, manual::reference::render(&program))
                    .with_context(|| format!("cannot write {path:?}"))?;
            }
        }
    }
    Ok(())
}
