//! `state`

use std::process::ExitCode;

use anyhow::Result;
use serde_json::Value;

use super::{Context, out};
use crate::ContainerId;

/// Print the state of a container as JSON
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The container
    id: ContainerId,
}

impl Args {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        let mut state = serde_json::to_value(context.runtime.state(&self.id)?)?;
        // runc has the owner in `list` only, and leaves it empty here.
        state["owner"] = Value::String(String::new());
        out(&serde_json::to_string_pretty(&state)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
