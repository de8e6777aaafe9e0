//! `bench`: what container runtimes cost beside each other, and amd-ctk beside the Go toolkit.

mod bundles;
mod commands;
mod ctk;
mod memory;
mod plot;
mod report;
mod runner;
mod runtimes;
mod scale;
mod targets;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use integration::host::Cgroups;
use integration::require;

use crate::bundles::Specs;
use crate::commands::Bench;
use crate::report::Report;

/// Compares container runtimes, and amd-ctk with the Go toolkit, on simulated hosts with 64 GPUs
#[derive(Debug, Parser)]
#[command(max_term_width = 100)]
struct Args {
    /// The runtime that injects GPUs
    #[arg(long, value_name = "PATH")]
    ours: PathBuf,
    /// Another build of it, to compare with
    #[arg(long, value_name = "NAME=PATH")]
    also: Vec<String>,
    /// amd-ctk
    #[arg(long, value_name = "PATH")]
    ctk: PathBuf,
    /// A runtime to compare with; those that are not installed are left out
    #[arg(long, value_name = "NAME", default_values = ["runc", "crun", "youki"])]
    with: Vec<String>,
    /// Containers of each runtime, bundle, number of GPUs and version of cgroups
    #[arg(long, default_value_t = 50)]
    runs: usize,
    /// Numbers of GPUs
    #[arg(long, value_delimiter = ',', default_values_t = [0, 1, 8, 64])]
    gpus: Vec<usize>,
    /// Versions of cgroups
    #[arg(long, value_delimiter = ',', default_values = ["v1", "v2"])]
    cgroups: Vec<Version>,
    /// Numbers of containers present
    #[arg(long, value_delimiter = ',', default_values_t = [0, 10, 100, 1000])]
    present: Vec<usize>,
    /// Numbers of creates at the same time
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 30, 100])]
    parallel: Vec<usize>,
    /// Commands alone, not scale and memory limits
    #[arg(long)]
    commands_only: bool,
    /// A look rather than a measurement: 10 runs, 0 and 64 GPUs, v1, up to 100 containers
    #[arg(long)]
    quick: bool,
    /// Writes the figures there
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the plot there, as SVG
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// The fewest rounds of creates at the same time; of less there is no median.
const FEWEST: usize = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Version {
    V1,
    V2,
}

fn main() -> Result<()> {
    if std::env::args().nth(1).as_deref() == Some(runner::ARGUMENT) {
        return runner::serve();
    }
    let mut args = Args::parse();
    if args.quick {
        args.runs = args.runs.min(10);
        args.gpus = vec![0, 64];
        args.cgroups.truncate(1);
        args.present.retain(|&containers| containers <= 100);
    }
    let begin = Instant::now();
    let report = measure(&args)?;
    report::print(&report);
    println!("\nTook {} s.", begin.elapsed().as_secs());
    if let Some(path) = &args.json {
        let json = serde_json::to_vec_pretty(&report)?;
        std::fs::write(path, json).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &args.plot {
        plot::write(&report, path)?;
    }
    Ok(())
}

fn measure(args: &Args) -> Result<Report> {
    let runtimes = runtimes::installed(args)?;
    let ours = runtimes.first().context("no runtime")?;
    let ctk = args.ctk.canonicalize().context("no amd-ctk there")?;
    let ctk = ctk.to_str().context("a path that is no text")?;
    let specs = Specs::new(ours)?;
    let mut benches = Vec::new();
    for &version in &args.cgroups {
        match version {
            Version::V1 if !require::cgroup_v1() => {}
            Version::V1 => benches.push(Bench::start(Cgroups::V1)?),
            Version::V2 => benches.push(Bench::start(Cgroups::V2)?),
        }
    }
    step("every command of every runtime");
    let rows = commands::compare(&mut benches, &runtimes, &specs, &args.gpus, args.runs)?;
    let bench = benches.first_mut().context("no version of cgroups")?;
    step("amd-ctk");
    let ctk_rows = ctk::measure(bench, ctk, args.runs)?;
    let mut report = Report {
        machine: machine(&runtimes, &specs, args),
        rows,
        present: Vec::new(),
        parallel: Vec::new(),
        least_memory: Vec::new(),
        ctk: ctk_rows,
        targets: Vec::new(),
    };
    if !args.commands_only {
        if bench.cgroups == "v1" {
            step("memory limits");
            report.least_memory = memory::least(bench, &runtimes, &specs)?;
        }
        step("creates at the same time");
        let runs = args.runs.div_ceil(5).max(FEWEST);
        report.parallel = scale::parallel(bench, ours, ctk, &specs, &args.parallel, runs)?;
        step("containers present");
        for bench in &mut benches {
            let levels = scale::present(bench, ours, &specs, &args.present, args.runs)?;
            report.present.extend(levels);
        }
    }
    report.targets = targets::all(&report);
    Ok(report)
}

/// What is measured now, on standard error: a run takes minutes.
fn step(what: &str) {
    eprintln!("measuring: {what}");
}

/// What the figures are of.
fn machine(runtimes: &[runtimes::Runtime], specs: &Specs, args: &Args) -> Vec<String> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("", |rest| rest.trim_start_matches(['\t', ' ', ':']));
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or_default();
    let mut lines = vec![
        format!(
            "{cpus} CPUs, {model}; Linux {}; load average {load}",
            kernel.trim()
        ),
        format!("{} runs of each, interleaved", args.runs),
        format!(
            "docker-like bundle with docker's seccomp profile of {} system calls",
            specs.system_calls()
        ),
    ];
    for runtime in runtimes {
        lines.push(format!("{}: {}", runtime.name, runtime.version));
    }
    lines
}
