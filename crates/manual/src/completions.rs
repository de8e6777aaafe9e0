//! Completions for bash, zsh and fish.

use std::io;
use std::path::Path;

use clap_complete::{Shell, generate};

use crate::Program;

/// Writes a program's completions below `share`, a directory such as /usr/share, to where
/// the shells look for them: bash-completion(1), zshcompsys(1), fish's `vendor_completions.d`.
///
/// # Errors
/// Where a file cannot be written.
pub fn write(program: &Program, share: &Path) -> io::Result<()> {
    let name = program.command.get_name();
    let files = [
        (Shell::Bash, "bash-completion/completions", name.to_owned()),
        (Shell::Zsh, "zsh/site-functions", format!("_{name}")),
        (
            Shell::Fish,
            "fish/vendor_completions.d",
            format!("{name}.fish"),
        ),
    ];
    for (shell, directory, file) in files {
        let directory = share.join(directory);
        std::fs::create_dir_all(&directory)?;
        let mut text = Vec::new();
        generate(shell, &mut program.command.clone(), name, &mut text);
        std::fs::write(directory.join(file), text)?;
    }
    Ok(())
}
