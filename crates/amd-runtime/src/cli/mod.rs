//! The command line: runc's, command by command, a file each.

mod config;
mod create;
mod delete;
mod events;
mod exec;
mod features;
mod foreground;
mod kill;
mod list;
mod pause;
mod ps;
mod run;
mod size;
mod spec;
mod start;
mod state;
mod update;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use amd_runtime::lifecycle::DEFAULT_ROOT;
use amd_runtime::settings::LogLevel;
use amd_runtime::{Runtime, Settings, seal};
use anyhow::{Context as _, Result, bail};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser, Subcommand};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::logging::{Format, Log, LogLayer};
use crate::report::Failure;

/// An OCI runtime that gives a container the AMD GPUs it asked for, and no others
///
/// Containers are made from bundles: a directory with a config.json and a root
/// filesystem. A container asks for GPUs with the variable AMD_VISIBLE_DEVICES in its
/// environment: all, none, or a list of indices, ranges, UUIDs, PCI addresses and CDI
/// names.
#[derive(Debug, Parser)]
#[command(name = "amd-container-runtime", version, long_version = LONG_VERSION)]
#[command(
    propagate_version = false,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Behind the name and " " in `--version`: dockerd reads this.
const LONG_VERSION: &str = concat!(
    "version ",
    env!("CARGO_PKG_VERSION"),
    "\nspec: 1.2.0\nlibcontainer: 0.7.0 (youki)"
);

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
pub struct Global {
    /// Log every step
    #[arg(long, global = true)]
    debug: bool,
    /// File to log to, beside stderr
    #[arg(long, global = true, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Form of the log
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    log_format: Format,
    /// Directory for the state of containers, on a tmpfs
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_ROOT)]
    root: PathBuf,
    /// Let systemd make the cgroups; expects cgroupsPath as "slice:prefix:name"
    #[arg(long, global = true)]
    systemd_cgroup: bool,
    /// Settings file [default: /etc/amd-container-runtime/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Ignore cgroup permission errors; only "auto" and "false" are supported
    // Not global: `spec` has a switch of that name.
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    rootless: String,
    /// Accepted for callers of old runc versions
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    criu: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(create::Args),
    Start(start::Args),
    Run(run::Args),
    Exec(exec::Args),
    State(state::Args),
    Kill(kill::Args),
    Delete(delete::Args),
    List(list::Args),
    Ps(ps::Args),
    Pause(pause::PauseArgs),
    Resume(pause::ResumeArgs),
    Update(update::Args),
    Events(events::Args),
    Features(features::Args),
    Spec(spec::Args),
    Config(config::Args),
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Start(_) => "start",
            Self::Run(_) => "run",
            Self::Exec(_) => "exec",
            Self::State(_) => "state",
            Self::Kill(_) => "kill",
            Self::Delete(_) => "delete",
            Self::List(_) => "list",
            Self::Ps(_) => "ps",
            Self::Pause(_) => "pause",
            Self::Resume(_) => "resume",
            Self::Update(_) => "update",
            Self::Events(_) => "events",
            Self::Features(_) => "features",
            Self::Spec(_) => "spec",
            Self::Config(_) => "config",
        }
    }

    /// Whether a process of this command ends up inside a container.
    fn enters_container(&self) -> bool {
        matches!(self, Self::Create(_) | Self::Run(_) | Self::Exec(_))
    }

    fn run(self, context: &Context) -> Result<ExitCode> {
        match self {
            Self::Create(args) => args.run(context),
            Self::Start(args) => args.run(context),
            Self::Run(args) => args.run(context),
            Self::Exec(args) => args.run(context),
            Self::State(args) => args.run(context),
            Self::Kill(args) => args.run(context),
            Self::Delete(args) => args.run(context),
            Self::List(args) => args.run(context),
            Self::Ps(args) => args.run(context),
            Self::Pause(args) => args.run(context),
            Self::Resume(args) => args.run(context),
            Self::Update(args) => args.run(context),
            Self::Events(args) => args.run(context),
            Self::Features(args) => args.run(),
            Self::Spec(args) => args.run(),
            Self::Config(args) => args.run(),
        }
    }
}

/// What the commands work with.
pub struct Context {
    /// The runtime on the state root of the command line.
    pub runtime: Runtime,
    /// That root.
    pub root: PathBuf,
    /// Whether it was left at its default.
    pub default_root: bool,
}

/// Parses the command line, runs the command and reports its failure.
pub fn main() -> ExitCode {
    let cli = match parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let command = cli.command.name();
    let mut log = None;
    match execute(cli, &mut log) {
        Ok(code) => code,
        // Whoever read our output has had enough of it.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            let failure = Failure::of(command, &error);
            failure.report(log.as_mut());
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
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

fn parse() -> Result<Cli, ExitCode> {
    let parsed = go_booleans(Cli::command())
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches));
    parsed.map_err(|err| {
        if err.use_stderr() {
            log_usage_error(&err.to_string());
        }
        // A closed pipe is no failure of ours.
        let _ = err.print();
        // runc exits with 1 where clap would with 2.
        ExitCode::from(u8::from(err.use_stderr()))
    })
}

/// Writes a command line that makes no sense to the log that it names, if it names one:
/// an engine that calls with an option too new for us shows its user nothing else.
fn log_usage_error(message: &str) {
    let args: Vec<String> = std::env::args().collect();
    let value_of = |option: &str| {
        args.iter().enumerate().find_map(|(at, arg)| {
            let rest = arg.strip_prefix(option)?;
            if rest.is_empty() {
                args.get(at + 1).cloned()
            } else {
                rest.strip_prefix('=').map(str::to_owned)
            }
        })
    };
    let format = match value_of("--log-format").as_deref() {
        Some("json") => Format::Json,
        _ => Format::Text,
    };
    if let Some(mut log) = value_of("--log").and_then(|path| Log::open(path.as_ref(), format).ok())
    {
        log.error(message.trim_end());
    }
}

/// Lets every switch be written as Go's flag parser takes it, too: `--force=true`.
fn go_booleans(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| {
        if !matches!(arg.get_action(), ArgAction::SetTrue) {
            return arg;
        }
        arg.action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .default_value("false")
            .hide_default_value(true)
            .hide_possible_values(true)
    });
    command.mut_subcommands(go_booleans)
}

fn execute(cli: Cli, log: &mut Option<Log>) -> Result<ExitCode> {
    let global = &cli.global;
    if let Some(path) = &global.log {
        let opened = Log::open(path, global.log_format);
        *log = Some(opened.with_context(|| format!("cannot open the log {path:?}"))?);
    }
    if cli.command.enters_container() {
        seal_binary(&global.root)?;
    }
    let settings = load_settings(&cli.command, global)?;
    set_up_logging(global, &settings, log.as_ref())?;
    check_options(global)?;
    let runtime = Runtime::new(&global.root)
        .with_settings(settings)
        .with_systemd_cgroup(global.systemd_cgroup);
    let default_root = global.root == Path::new(DEFAULT_ROOT);
    let context = Context {
        runtime,
        root: global.root.clone(),
        default_root,
    };
    cli.command.run(&context)
}

/// The settings; where they cannot be read, an error for commands that depend on them,
/// and the defaults for all others: a container can always be stopped and deleted.
fn load_settings(command: &Command, global: &Global) -> Result<Settings> {
    match Settings::load(global.config.as_deref()) {
        Err(err) if !matches!(command, Command::Create(_) | Command::Run(_)) => {
            eprintln!("{}", amd_runtime::chain(&err));
            Ok(Settings::default())
        }
        settings => Ok(settings?),
    }
}

/// The program that enters a container is not one that can be written to from there
/// (CVE-2019-5736).
fn seal_binary(root: &Path) -> Result<()> {
    std::fs::create_dir_all(root).with_context(|| format!("cannot create {root:?}"))?;
    let sealed = seal::ensure_sealed(root)
        .context("cannot protect the runtime's binary from the container")?;
    tracing::debug!(?sealed, "running from a sealed binary");
    Ok(())
}

fn check_options(global: &Global) -> Result<()> {
    match global.rootless.as_str() {
        "auto" | "false" => {}
        other => bail!("--rootless {other} is not supported, only auto and false are"),
    }
    if global.criu.is_some() {
        tracing::warn!("--criu is ignored: there is no checkpoint command");
    }
    Ok(())
}

fn set_up_logging(global: &Global, settings: &Settings, log: Option<&Log>) -> Result<()> {
    let level = if global.debug {
        LogLevel::Debug
    } else {
        settings.log.level
    };
    let mut layers = Vec::new();
    if let Some(log) = log {
        layers.push(LogLayer::new(
            log.try_clone().context("cannot duplicate the log")?,
        ));
    }
    if let Some(path) = settings.log.file.path() {
        let own = Log::open(path, Format::Text);
        layers.push(LogLayer::new(
            own.with_context(|| format!("cannot open the log {path:?}"))?,
        ));
    }
    if layers.is_empty() {
        return Ok(());
    }
    let subscriber = Registry::default().with(layers.with_filter(LevelFilter::from(level)));
    tracing::subscriber::set_global_default(subscriber).context("cannot set up the log")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parses(args: &[&str]) -> Result<Cli, clap::Error> {
        let args = std::iter::once("amd-container-runtime").chain(args.iter().copied());
        go_booleans(Cli::command())
            .try_get_matches_from(args)
            .and_then(|matches| Cli::from_arg_matches(&matches))
    }

    #[test]
    fn the_definitions_are_consistent() {
        go_booleans(Cli::command()).debug_assert();
    }

    #[test]
    fn what_engines_and_people_type_is_understood() {
        for line in [
            "--root /r --log /l --log-format json create --bundle /b --pid-file /p id",
            "--root /r --log /l --log-format json --systemd-cgroup create -b /b --console-socket /s id",
            "create id --bundle /b",
            "create --no-pivot --no-new-keyring --preserve-fds 3 id",
            "run -d --pid-file /p id",
            "run --keep id",
            "start id",
            "state id",
            "kill id 9",
            "kill --all id SIGTERM",
            "kill -a id",
            "delete --force id",
            "delete -f id",
            "delete --force=true id",
            "exec --process /p --detach --pid-file /f id",
            "exec -t --user 1:2 -e A=1 --cwd /x id ls -l --color",
            "exec -d id true",
            "list -q",
            "list --format json",
            "ps --format json id",
            "ps id -aux",
            "pause id",
            "resume id",
            "update --resources - id",
            "update --memory 100M --cpu-share 512 --pids-limit -1 id",
            "events --stats id",
            "events --interval 1s id",
            "features",
            "spec --bundle /b",
        ] {
            let args: Vec<_> = line.split(' ').collect();
            parses(&args).unwrap_or_else(|err| panic!("{line}: {err}"));
        }
    }

    #[test]
    fn words_behind_the_id_of_exec_are_the_programs() {
        let cli = parses(&["exec", "id", "sh", "-c", "x", "--tty", "-d"]).unwrap();
        let Command::Exec(args) = cli.command else {
            panic!("not exec")
        };
        assert_eq!(args.command(), ["sh", "-c", "x", "--tty", "-d"]);
        assert!(!args.is_detached());
    }

    #[test]
    fn unknown_options_are_errors() {
        for line in [
            "create --bogus id",
            "bogus id",
            "create",
            "create a b",
            "kill",
            "kill a 9 b",
        ] {
            assert!(
                parses(&line.split(' ').collect::<Vec<_>>()).is_err(),
                "{line}"
            );
        }
    }
}
