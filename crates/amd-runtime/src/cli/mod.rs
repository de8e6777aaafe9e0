//! The command line of `amd-container-runtime`: runc's, command by command, a file each.
//!
//! It is here, behind the feature `cli`, and not in the binary, so that the manual can be
//! made from its definitions. An embedder needs none of it.

mod bundle_dir;
mod checkpoint;
mod command_line;
mod config;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod foreground;
mod go_flags;
mod kill;
mod list;
mod logging;
mod pause;
mod ps;
mod report;
mod run;
mod size;
mod spec;
mod start;
mod state;
mod update;

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use command_line::{Cli, Command, Global};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::{FilterExt, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

pub use command_line::definition;

use crate::cgroup::head_start;
use crate::process::descriptors;
use crate::rootless::{self, default_root};
use crate::seal::Sealed;
use crate::settings::LogLevel;
use crate::state::StateRoot;
use crate::{Runtime, Settings, seal};
use logging::{Format, Log, LogLayer};
use report::Failure;

/// What the commands work with.
pub struct Context {
    /// The runtime on the state root of the command line.
    pub runtime: Runtime,
    /// That root.
    pub root: PathBuf,
    /// Whether it was left at its default.
    pub default_root: bool,
    /// CRIU, where it is not the one in PATH.
    pub criu: Option<PathBuf>,
}

/// Parses the command line, runs the command and reports its failure.
pub fn main() -> ExitCode {
    crate::reentry::dispatch();
    let cli = match command_line::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let command = cli.command.name();
    let mut logs = Vec::new();
    let executed = execute(cli, &mut logs);
    head_start::reap();
    match executed {
        Ok(code) => code,
        // Whoever read our output has had enough of it.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = Failure::of(command, &error);
            failure.report(&mut logs);
            ExitCode::from(failure.code)
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|err| err.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Prints `text` and a line feed to standard output.
fn out(text: &str) -> Result<()> {
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Prints `text` and a line feed to standard error. Where that cannot be, there is nowhere to say
/// so, and the command goes on.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Runs the command. `logs` gets those that are opened for it.
fn execute(cli: Cli, logs: &mut Vec<Log>) -> Result<ExitCode> {
    let global = &cli.global;
    let root = global.root.clone().unwrap_or_else(default_root);
    // To build a container, the working directory is changed.
    let root = std::path::absolute(&root)
        .with_context(|| format!("cannot make the root {root:?} an absolute path"))?;
    if let Some(preserved) = cli.command.preserved_fds() {
        // Before anything is opened here.
        let preserved = u32::from(preserved) + descriptors::listen_fds();
        descriptors::close_inherited(preserved, cli.command.read_fd())
            .context("cannot close inherited descriptors")?;
    }
    if let Some(path) = &global.log {
        let opened = Log::open(path, global.log_format);
        logs.push(opened.with_context(|| format!("cannot open the log {path:?}"))?);
    }
    if cli.command.makes_container() && !seal::is_second_run() {
        rootless::become_root()?;
    }
    let enters = cli.command.enters_container();
    let sealed = enters.then(|| seal_binary(&root)).transpose()?;
    let settings = load_settings(&cli.command, global)?;
    if let Some(path) = settings.log.file.path() {
        let own = Log::open(path, Format::Text);
        logs.push(own.with_context(|| format!("cannot open the log {path:?}"))?);
    }
    set_up_logging(global, &settings, logs)?;
    if let Some(sealed) = sealed {
        tracing::debug!(?sealed, "running from a sealed binary");
    }
    let runtime = Runtime::new(&root)
        .with_settings(settings)
        .with_systemd_cgroup(global.systemd_cgroup)
        .with_rootless(global.rootless.into());
    let default_root = root == default_root();
    let context = Context {
        runtime,
        root,
        default_root,
        criu: global.criu.clone(),
    };
    cli.command.run(&context)
}

/// The settings; where they cannot be read, an error for commands that depend on them,
/// and the defaults for all others: a container can always be stopped and deleted.
fn load_settings(command: &Command, global: &Global) -> Result<Settings> {
    match Settings::load(global.config.as_deref()) {
        Err(err) if !command.grants_gpus() => {
            say(&crate::chain(&err));
            Ok(Settings::default())
        }
        settings => Ok(settings?),
    }
}

/// The program that enters a container is not one that can be written to from there
/// (CVE-2019-5736).
fn seal_binary(root: &Path) -> Result<Sealed> {
    // The second run finds what the first has made and begun.
    if !seal::is_second_run() {
        StateRoot::new(root).make().map_err(crate::Error::from)?;
        if !head_start::is_needless() {
            head_start::begin();
        }
    }
    seal::ensure_sealed(root).context("cannot protect the runtime's binary from the container")
}

fn set_up_logging(global: &Global, settings: &Settings, logs: &[Log]) -> Result<()> {
    let level = if global.debug {
        LogLevel::Debug
    } else {
        settings.log.level
    };
    let layers = logs
        .iter()
        .map(|log| log.try_clone().map(LogLayer::new))
        .collect::<std::io::Result<Vec<_>>>()
        .context("cannot duplicate the log")?;
    // Without --log warnings are for whoever called, and with --debug all of it, as with runc.
    let for_caller = global.log.is_none().then(|| LogLayer::new(Log::stderr()));
    // What libcontainer warns of is its own business: of hierarchies that it does not use,
    // say. Its causes of an error are in the error.
    let level = LevelFilter::from(level);
    let of_libraries = match level {
        LevelFilter::DEBUG | LevelFilter::TRACE => level,
        _ => LevelFilter::OFF,
    };
    let filter = Targets::new()
        .with_default(level)
        .with_target("libcontainer", of_libraries)
        .with_target("libcgroups", of_libraries);
    let for_callers = if global.debug {
        LevelFilter::DEBUG
    } else {
        LevelFilter::WARN
    };
    let for_callers = filter.clone().and(for_callers);
    let subscriber = Registry::default()
        .with(layers.with_filter(filter))
        .with(for_caller.with_filter(for_callers));
    tracing::subscriber::set_global_default(subscriber).context("cannot set up the log")
}
