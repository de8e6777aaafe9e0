//! Runs a program on a simulated host: a machine with AMD GPUs where there are none.

use std::env;
use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use integration::host::{Cgroups, Host, PRESETS, SimulatedHost, cover_sys, init};
use integration::outcome;

/// Runs a program on a simulated host: its own /sys and /dev with AMD GPUs, its own /run,
/// /var/log and processes, and changes to /etc and /var/lib that are kept in memory. When
/// the program ends, so does everything that it started, and nothing is left.
///
/// The GPUs' device nodes have numbers but no driver: opening one that the device cgroup
/// allows fails with ENXIO (No such device or address), one that it denies with EPERM
/// (Operation not permitted).
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    /// The machine: see --list.
    #[arg(long, value_name = "NAME", default_value = "mi300x-8")]
    preset: String,

    /// What is mounted at /sys/fs/cgroup: what this machine has, or cgroup v2 alone.
    #[arg(long, value_enum, default_value = "v1")]
    cgroup: Version,

    /// Lists the machines there are.
    #[arg(long)]
    list: bool,

    /// Shows GPUs with the device nodes that this machine really has, in its own /sys and for
    /// all its programs, until it is booted anew. For a virtual machine: see vagrant/.
    #[arg(long, conflicts_with_all = ["preset", "cgroup", "program"])]
    cover_sys: bool,

    /// The program and its arguments; without any, a shell. SIMULATED_HOST_CGROUP in its
    /// environment names a cgroup that is removed in the end.
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<OsString>,

    /// Is PID 1 of a simulated host, and removes this cgroup in the end.
    #[arg(long, hide = true, value_name = "CGROUP")]
    init: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Version {
    V1,
    V2,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(err) => {
            eprintln!("simulated-host: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    if let Some(cgroup) = &arguments.init {
        init::run(cgroup)?;
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.list {
        for name in PRESETS {
            println!("{name}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.cover_sys {
        cover_sys(&Host::of_machine_nodes()?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let machine = Host::preset(&arguments.preset)
        .with_context(|| format!("no preset is named {}: see --list", arguments.preset))?;
    let cgroups = match arguments.cgroup {
        Version::V1 => Cgroups::V1,
        Version::V2 => Cgroups::V2,
    };
    let host = SimulatedHost::start(&machine, cgroups)?;
    let shell = || env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let (program, args) = match arguments.program.split_first() {
        Some((program, args)) => (program.clone(), args),
        None => (shell(), Default::default()),
    };
    let mut command = Command::new(program);
    command
        .args(args)
        .env("SIMULATED_HOST_CGROUP", host.cgroup())
        .current_dir(env::current_dir().context("cannot tell the current directory")?);
    let status = host.spawn(&mut command)?.wait()?;
    Ok(ExitCode::from(
        u8::try_from(outcome::code(status)).unwrap_or(u8::MAX),
    ))
}
