//! The commands of `amd-ctk`, and their command line in [`cli`].
//!
//! A command is a module of [`commands`]: it takes its arguments and the host's
//! root, and writes to [`Streams`]. It reads the host and changes nothing there
//! unless its name says so.

pub mod cdi;
pub mod cli;
pub mod commands;
pub mod config_file;
pub mod doctor;
pub mod engines;
mod error;
mod modprobe;
mod output;
mod place;
pub mod system;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use clap::Parser;

pub use error::CommandError;
pub use output::{Format, Streams};

/// Runs the program with these arguments, the first of which is its name.
///
/// Exit codes: 0 when the command did what it says; 1 when it failed; 2 for a
/// command line that is wrong. A reader that closes the pipe early, as `head`
/// does, is no failure.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match cli::Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // A terminal or pipe that is gone must not hide the exit code.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    if cli.global.debug {
        log_to_stderr();
    }
    let mut out = BufWriter::new(io::stdout().lock());
    let mut err = io::stderr();
    let done = commands::run(
        &cli,
        &mut Streams {
            out: &mut out,
            err: &mut err,
        },
    );
    match done.and_then(|()| Ok(out.flush()?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            error.report("error", &mut err);
            ExitCode::FAILURE
        }
    }
}

fn log_to_stderr() {
    tracing_subscriber::fmt()
        .with_max_level(tracing::level_filters::LevelFilter::DEBUG)
        .with_writer(io::stderr)
        .with_ansi(false)
        .without_time()
        .init();
}
