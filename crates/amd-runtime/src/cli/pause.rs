//! `pause` and `resume`

use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use crate::ContainerId;

/// Freeze all processes of a container
#[derive(Debug, clap::Args)]
pub struct PauseArgs {
    /// The container
    id: ContainerId,
}

impl PauseArgs {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        context.runtime.pause(&self.id)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Thaw a paused container
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// The container
    id: ContainerId,
}

impl ResumeArgs {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        context.runtime.resume(&self.id)?;
        Ok(ExitCode::SUCCESS)
    }
}
