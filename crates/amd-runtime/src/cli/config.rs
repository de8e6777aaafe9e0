//! `config`

use std::process::ExitCode;

use anyhow::Result;

use super::out;

/// Print a settings file with every key, its meaning and its default
#[derive(Debug, clap::Args)]
pub struct Args {}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        out(crate::settings::sample().trim_end())?;
        Ok(ExitCode::SUCCESS)
    }
}
