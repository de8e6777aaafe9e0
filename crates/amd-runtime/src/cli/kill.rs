//! `kill`

use std::process::ExitCode;

use anyhow::Result;

use super::Context;
use crate::{ContainerId, Error, parse_signal};

/// Send a signal to the init of a container
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Send it to all processes of the container
    #[arg(short, long)]
    all: bool,
    /// The container
    id: ContainerId,
    /// Signal, by name or number
    #[arg(default_value = "SIGTERM")]
    signal: String,
}

impl Args {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        let signal = parse_signal(&self.signal)?;
        match context.runtime.kill(&self.id, signal, self.all) {
            // What is gone already needs no signal.
            Err(Error::Status(_)) if self.all => Ok(ExitCode::SUCCESS),
            done => Ok(done.map(|()| ExitCode::SUCCESS)?),
        }
    }
}
