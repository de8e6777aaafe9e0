//! The command line: what can be written there.

use std::ffi::OsString;
use std::os::fd::RawFd;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::error::ErrorKind;
use clap::{ArgAction, ArgMatches, Args as _, CommandFactory, FromArgMatches, Parser, Subcommand};

use super::go_flags;
use super::logging::{Format, Log};
use super::{
    Context, checkpoint, config, create, delete, events, exec, features, kill, list, pause, ps,
    run, spec, start, state, update,
};
use crate::rootless::Rootless;

/// An OCI runtime that gives a container the AMD GPUs it asked for, and no others
///
/// Containers are made from bundles: a directory with a config.json and a root
/// filesystem. A container asks for GPUs with the variable AMD_VISIBLE_DEVICES in its
/// environment: all, none, or a list of indices, ranges, UUIDs, PCI addresses and CDI
/// names.
#[derive(Debug, Parser)]
// An option that is given twice counts as it is given last, as with runc.
#[command(args_override_self = true)]
#[command(name = "amd-container-runtime", version = LONG_VERSION, long_version = LONG_VERSION)]
#[command(
    propagate_version = false,
    disable_version_flag = true,
    subcommand_required = true,
    arg_required_else_help = true
)]
struct Options {
    /// Print version
    #[arg(short = 'v', short_alias = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,
    #[command(flatten)]
    global: Global,
}

/// A command line that makes sense.
#[derive(Debug)]
pub struct Cli {
    pub global: Global,
    pub command: Command,
}

impl Cli {
    fn of(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            global: Options::from_arg_matches(matches)?.global,
            command: Command::from_arg_matches(matches)?,
        })
    }
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
    pub debug: bool,
    /// File to log to, beside stderr
    #[arg(long, global = true, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Form of the log
    #[arg(
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub log_format: Format,
    /// Directory for the state of containers, on a tmpfs [default: /run/amd-container-runtime, of
    /// a user who is not root $XDG_RUNTIME_DIR/amd-container-runtime]
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// Let systemd make the cgroups; expects cgroupsPath as "slice:prefix:name"
    #[arg(long, global = true)]
    pub systemd_cgroup: bool,
    /// Settings file [default: /etc/amd-container-runtime/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Ignore cgroup permission errors: true, false, or auto for where the caller is not the
    /// host's root
    // Not global: `spec` has a switch of that name.
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value_t,
        hide_possible_values = true
    )]
    pub rootless: RootlessWhen,
    /// The program CRIU, for checkpoint and restore [default: criu, in PATH]
    #[arg(long, global = true, value_name = "FILE")]
    pub criu: Option<PathBuf>,
}

/// `--rootless`, with runc's names.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
pub enum RootlessWhen {
    /// Where the caller is not the host's root.
    #[default]
    Auto,
    /// Always.
    #[value(alias = "1", alias = "t", alias = "T", alias = "TRUE", alias = "True")]
    True,
    /// Never.
    #[value(
        alias = "0",
        alias = "f",
        alias = "F",
        alias = "FALSE",
        alias = "False"
    )]
    False,
}

impl From<RootlessWhen> for Rootless {
    fn from(when: RootlessWhen) -> Self {
        match when {
            RootlessWhen::Auto => Self::Auto,
            RootlessWhen::True => Self::Always,
            RootlessWhen::False => Self::Never,
        }
    }
}

/// A command; each is documented at its arguments.
#[derive(Debug, Subcommand)]
#[allow(missing_docs)]
pub enum Command {
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
    Checkpoint(checkpoint::CheckpointArgs),
    Restore(checkpoint::RestoreArgs),
    Features(features::Args),
    Spec(spec::Args),
    Config(config::Args),
}

impl Command {
    /// Its name on the command line.
    pub fn name(&self) -> &'static str {
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
            Self::Checkpoint(_) => "checkpoint",
            Self::Restore(_) => "restore",
            Self::Features(_) => "features",
            Self::Spec(_) => "spec",
            Self::Config(_) => "config",
        }
    }

    /// Whether a process of this command ends up inside a container.
    pub fn enters_container(&self) -> bool {
        self.preserved_fds().is_some()
    }

    /// Whether this command makes a container.
    pub fn makes_container(&self) -> bool {
        matches!(self, Self::Create(_) | Self::Run(_))
    }

    /// Whether the settings decide what its container gets.
    pub fn grants_gpus(&self) -> bool {
        self.makes_container() || matches!(self, Self::Restore(_))
    }

    /// How many descriptors from 3 on its container inherits; `None` for a command that
    /// makes no process.
    pub fn preserved_fds(&self) -> Option<u16> {
        match self {
            Self::Create(args) => Some(args.build.preserve_fds),
            Self::Run(args) => Some(args.build.preserve_fds),
            Self::Exec(args) => Some(args.preserve_fds),
            _ => None,
        }
    }

    /// A descriptor from its caller that it reads.
    pub fn read_fd(&self) -> Option<RawFd> {
        match self {
            Self::Exec(args) => args.process_fd(),
            _ => None,
        }
    }

    /// Runs it.
    pub fn run(self, context: &Context) -> Result<ExitCode> {
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
            Self::Checkpoint(args) => args.run(context),
            Self::Restore(args) => args.run(context),
            Self::Features(args) => args.run(),
            Self::Spec(args) => args.run(),
            Self::Config(args) => args.run(),
        }
    }
}

/// Gives a command its options and its description.
type Define = fn(clap::Command) -> clap::Command;

/// The commands by their names: [`Command`], without making the definitions of all for one that is
/// asked for. That is most of what parsing costs, and a create does it twice.
const COMMANDS: [(&str, Define); 18] = [
    ("create", create::Args::augment_args),
    ("start", start::Args::augment_args),
    ("run", run::Args::augment_args),
    ("exec", exec::Args::augment_args),
    ("state", state::Args::augment_args),
    ("kill", kill::Args::augment_args),
    ("delete", delete::Args::augment_args),
    ("list", list::Args::augment_args),
    ("ps", ps::Args::augment_args),
    ("pause", pause::PauseArgs::augment_args),
    ("resume", pause::ResumeArgs::augment_args),
    ("update", update::Args::augment_args),
    ("events", events::Args::augment_args),
    ("checkpoint", checkpoint::CheckpointArgs::augment_args),
    ("restore", checkpoint::RestoreArgs::augment_args),
    ("features", features::Args::augment_args),
    ("spec", spec::Args::augment_args),
    ("config", config::Args::augment_args),
];

/// The definition of the command line, for man pages, completions and the like.
///
/// The parser takes a little more: each switch also with a value, as in `--force=true`.
pub fn definition() -> clap::Command {
    with_commands(|_| true)
}

/// The definition with those commands of which `is_wanted` says so by their name.
fn with_commands(is_wanted: impl Fn(&str) -> bool) -> clap::Command {
    let wanted = COMMANDS.iter().filter(|(name, _)| is_wanted(name));
    let commands = wanted.map(|(name, define)| define(clap::Command::new(*name)));
    Options::command().subcommands(commands)
}

/// What is needed of the definition for `args`: the commands that any word of them names; all where
/// none does, or where a command may be asked about.
fn definition_for(args: &[OsString]) -> clap::Command {
    let is_named = |name: &str| args.iter().any(|arg| arg == name);
    let asks = |arg: &OsString| {
        let word = arg.to_str().unwrap_or_default().trim_start_matches('-');
        ["h", "help"].contains(&word)
    };
    let is_enough = COMMANDS.iter().any(|(name, _)| is_named(name)) && !args.iter().any(asks);
    with_commands(|name| !is_enough || is_named(name))
}

fn is_without_command(err: &clap::Error) -> bool {
    matches!(
        err.kind(),
        ErrorKind::MissingSubcommand | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// Parses the command line; where it makes no sense or asks for help, prints what there
/// is to say and returns the exit status.
pub fn parse() -> Result<Cli, ExitCode> {
    let args: Vec<_> = std::env::args_os().collect();
    let command = go_flags::booleans(definition_for(args.get(1..).unwrap_or_default()));
    let args = go_flags::two_dashes(&command, args);
    let parsed = command
        .try_get_matches_from(&args)
        .and_then(|matches| Cli::of(&matches));
    parsed.map_err(|err| {
        if is_without_command(&err) {
            // As runc: help, and no error.
            let _ = definition().print_help();
            return ExitCode::SUCCESS;
        }
        if err.use_stderr() {
            log_usage_error(&args, &err.to_string());
        }
        // A closed pipe is no failure of ours.
        let _ = err.print();
        // runc exits with 1 where clap would with 2.
        ExitCode::from(u8::from(err.use_stderr()))
    })
}

/// Writes a command line that makes no sense to the log that it names, if it names one:
/// an engine that calls with an option too new for us shows its user nothing else.
fn log_usage_error(args: &[OsString], message: &str) {
    let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    let value_of = |option: &str| {
        args.iter().enumerate().find_map(|(at, arg)| {
            let rest = arg.strip_prefix(option)?;
            if rest.is_empty() {
                args.get(at + 1).map(ToString::to_string)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parses(args: &[&str]) -> Result<Cli, clap::Error> {
        let words: Vec<_> = args.iter().map(OsString::from).collect();
        let args = std::iter::once("amd-container-runtime").chain(args.iter().copied());
        go_flags::booleans(definition_for(&words))
            .try_get_matches_from(args)
            .and_then(|matches| Cli::of(&matches))
    }

    #[test]
    fn the_definitions_are_consistent() {
        go_flags::booleans(definition()).debug_assert();
    }

    #[test]
    fn the_commands_are_those_of_the_enumeration() {
        let described = |command: clap::Command| -> Vec<String> {
            let all = command.get_subcommands();
            all.map(|command| format!("{command:?}")).collect()
        };
        let defined = COMMANDS
            .iter()
            .map(|(name, define)| define(clap::Command::new(*name)));
        let found = described(clap::Command::new("all").subcommands(defined));
        let expected = described(Command::augment_subcommands(clap::Command::new("all")));
        // Not by assert_eq: that is a hundred thousand characters.
        assert!(found == expected);
    }

    #[test]
    fn a_line_needs_the_commands_that_it_names_and_help_all() {
        let names = |line: &str| {
            let words: Vec<_> = line.split_whitespace().map(OsString::from).collect();
            let command = definition_for(&words);
            let names = command
                .get_subcommands()
                .map(|sub| sub.get_name().to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names("--root /r state x"), ["state"]);
        assert_eq!(names("--root create state x"), ["create", "state"]);
        for line in [
            "",
            "--debug",
            "bogus x",
            "help state",
            "create -h",
            "run --help",
            "run -help",
        ] {
            assert_eq!(names(line).len(), COMMANDS.len(), "{line}");
        }
    }

    #[test]
    fn the_version_is_asked_for_as_with_runc_and_without_a_command_there_is_help() {
        for word in ["-v", "-V", "--version"] {
            assert_eq!(
                parses(&[word]).unwrap_err().kind(),
                ErrorKind::DisplayVersion
            );
        }
        for line in [&[][..], &["--root", "/r"], &["--debug"]] {
            assert!(is_without_command(&parses(line).unwrap_err()), "{line:?}");
        }
        assert!(!is_without_command(&parses(&["state"]).unwrap_err()));
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
            "update --cpu-idle -1 --kernel-memory 5 --l3-cache-schema x id",
            "checkpoint --image-path /i --leave-running --empty-ns network id",
            "restore -d -b /b --image-path /i --console-socket /s id",
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
