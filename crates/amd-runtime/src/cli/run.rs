//! `run`

use std::cell::Cell;
use std::process::ExitCode;

use anyhow::Result;

use super::create::BuildArgs;
use super::{Context, foreground};
use crate::spec::Bundle;
use crate::{ContainerId, CreateOptions};

/// Create a container, start it, and delete it when its program has exited
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pub build: BuildArgs,
    /// Do not wait for the program
    #[arg(short, long)]
    detach: bool,
    /// Do not delete the container after its program has exited
    #[arg(long)]
    keep: bool,
    /// Do not reap processes whose parents have exited
    #[arg(long)]
    no_subreaper: bool,
    /// Name for the container, unique below --root
    id: ContainerId,
}

impl Args {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        let runtime = &context.runtime;
        let bundle = Bundle::load(&self.build.bundle_dir.bundle)?;
        let terminal = bundle.terminal();
        let options = CreateOptions {
            give_stdio: self.detach,
            ..self.build.options()?
        };
        foreground::check_console(terminal, self.detach, options.console_socket.is_some())?;

        let created = Cell::new(false);
        let create = |console_socket| {
            let options = CreateOptions {
                console_socket,
                ..options.clone()
            };
            let init = runtime.create_from_bundle(&self.id, bundle, &options)?;
            created.set(true);
            Ok(init)
        };
        let start = || Ok(runtime.start(&self.id)?);
        let root = &context.root;
        let ran = if self.detach {
            create(options.console_socket.clone())
                .and_then(|_| start())
                .map(|()| ExitCode::SUCCESS)
        } else {
            foreground::attach(root, terminal, !self.no_subreaper, create, start)
        };
        // What could not be started is not left behind. A container of that name which
        // was there before is another's.
        let remove = if ran.is_ok() {
            !self.detach && !self.keep
        } else {
            created.get()
        };
        if remove {
            let deleted = runtime.delete(&self.id, true);
            // The first error counts.
            if ran.is_ok() {
                deleted?;
            }
        }
        ran
    }
}
