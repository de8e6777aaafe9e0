//! `delete`

use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use crate::ContainerId;

/// Delete a container that has stopped or was not started
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Kill a container that runs; succeed where there is none
    #[arg(short, long)]
    force: bool,
    /// The container
    id: ContainerId,
}

impl Args {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        context.runtime.delete(&self.id, self.force)?;
        Ok(ExitCode::SUCCESS)
    }
}
