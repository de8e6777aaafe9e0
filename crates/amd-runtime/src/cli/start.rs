//! `start`

use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use crate::ContainerId;

/// Start the program of a created container
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The container
    id: ContainerId,
}

impl Args {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        context.runtime.start(&self.id)?;
        Ok(ExitCode::SUCCESS)
    }
}
