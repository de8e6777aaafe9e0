//! `bench`: create, start and delete of one bundle under several runtimes, interleaved.
//!
//! Every runtime gets the same effective spec: with GPUs, ours is asked for them by
//! AMD_VISIBLE_DEVICES, and the others find the same nodes, rules and groups written in
//! the spec, so that only the way there differs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use integration::bundle::Bundle;
use integration::host::{Cgroups, Host, SimulatedHost};
use integration::spec::Spec;
use nix::mount::{MntFlags, umount2};
use serde_json::{Value, json};

/// Compares container runtimes on a simulated host with 64 GPUs
#[derive(Debug, Parser)]
struct Args {
    /// Cycles of each runtime and number of GPUs
    #[arg(long, default_value_t = 50)]
    runs: usize,
    /// The runtime that injects GPUs
    #[arg(long, value_name = "PATH")]
    ours: PathBuf,
    /// A runtime to compare with; those that are not installed are left out
    #[arg(long, value_name = "NAME", default_values = ["runc", "crun"])]
    with: Vec<String>,
    /// Numbers of GPUs
    #[arg(long, value_delimiter = ',', default_values_t = [0, 8, 64])]
    gpus: Vec<usize>,
}

/// One runtime with one number of GPUs, and what was measured of it.
struct Case {
    name: String,
    program: PathBuf,
    gpus: usize,
    bundle: PathBuf,
    cycles: Vec<Duration>,
    creates: Vec<Duration>,
    peak_kib: i64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let preset = Host::preset("mi300x-8-cpx").context("no such preset")?;
    let host = SimulatedHost::start(&preset, Cgroups::V1)?;
    // crun 1.8 refuses hybrid cgroups; for a host without the unified hierarchy the
    // comparison is fair to all.
    host.inside(|| {
        let _ = umount2("/sys/fs/cgroup/unified", MntFlags::MNT_DETACH);
    })?;
    let mut cases = cases(&host, &args)?;
    host.inside(|| -> Result<()> {
        // One round to warm caches, not counted.
        for round in 0..=args.runs {
            for case in &mut cases {
                case.cycle(round > 0)?;
            }
        }
        Ok(())
    })??;
    print_table(&mut cases);
    Ok(())
}

fn cases(host: &SimulatedHost, args: &Args) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for &gpus in &args.gpus {
        let asks = spec(gpus);
        let bundle = Bundle::new(host, &format!("ours-{gpus}"), asks.clone());
        let effective = effective_spec(host, &args.ours, &bundle)?;
        cases.push(Case::new("ours", args.ours.clone(), gpus, bundle.path()));
        for name in &args.with {
            let Ok(program) = which(name) else {
                eprintln!("{name} is not installed");
                continue;
            };
            let id = format!("{name}-{gpus}");
            let written = asks
                .clone()
                .set("/linux/devices", effective["linux"]["devices"].clone())
                .set("/linux/resources", effective["linux"]["resources"].clone());
            let bundle = Bundle::new(host, &id, written);
            cases.push(Case::new(name, program, gpus, bundle.path()));
        }
    }
    Ok(cases)
}

fn spec(gpus: usize) -> Spec {
    let spec = Spec::docker().args(&["true"]);
    match gpus {
        0 => spec,
        n => spec.env(&format!("AMD_VISIBLE_DEVICES=0-{}", n - 1)),
    }
}

/// The spec that our runtime makes of a bundle's, read from its state.
fn effective_spec(host: &SimulatedHost, ours: &Path, bundle: &Bundle<'_>) -> Result<Value> {
    let root = Path::new("/run/bench-effective");
    host.inside(|| {
        run(
            ours,
            root,
            &["create", "--bundle", text(bundle.path())?, "effective"],
        )?;
        let config = fs::read(root.join("effective/config.json"))?;
        run(ours, root, &["delete", "--force", "effective"])?;
        Ok(serde_json::from_slice(&config).unwrap_or(json!(null)))
    })?
}

impl Case {
    fn new(name: &str, program: PathBuf, gpus: usize, bundle: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program,
            gpus,
            bundle: bundle.to_owned(),
            cycles: Vec::new(),
            creates: Vec::new(),
            peak_kib: 0,
        }
    }

    fn cycle(&mut self, counts: bool) -> Result<()> {
        let root = PathBuf::from(format!("/run/bench-{}", self.name));
        let id = format!("{}-{}", self.name, self.gpus);
        let begin = Instant::now();
        let bundle = text(&self.bundle)?;
        let peak = run(&self.program, &root, &["create", "--bundle", bundle, &id])?;
        let created = begin.elapsed();
        run(&self.program, &root, &["start", &id])?;
        run(&self.program, &root, &["delete", "--force", &id])?;
        let cycle = begin.elapsed();
        if counts {
            self.cycles.push(cycle);
            self.creates.push(created);
            self.peak_kib = self.peak_kib.max(peak);
        }
        Ok(())
    }
}

/// Runs a runtime. Its peak memory in KiB, the processes that it waited for included.
fn run(program: &Path, root: &Path, words: &[&str]) -> Result<i64> {
    let mut command = Command::new(program);
    command
        .arg("--root")
        .arg(root)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    let child = command
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let (status, peak) = wait4(child.id() as i32)?;
    ensure!(status == 0, "{} {words:?} failed", program.display());
    Ok(peak)
}

/// Waits for a child. Its wait status, and its peak memory in KiB.
#[allow(unsafe_code)]
fn wait4(pid: i32) -> Result<(i32, i64)> {
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live, writable values of the types that wait4(2) fills.
    if unsafe { libc::wait4(pid, &mut status, 0, &mut usage) } < 0 {
        bail!("wait4: {}", std::io::Error::last_os_error());
    }
    Ok((status, usage.ru_maxrss))
}

fn which(name: &str) -> Result<PathBuf> {
    std::env::var_os("PATH")
        .iter()
        .flat_map(std::env::split_paths)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("{name} is not installed"))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

fn print_table(cases: &mut [Case]) {
    println!(
        "{:<8} {:>5} {:>12} {:>8} {:>8} {:>12} {:>12}",
        "runtime", "GPUs", "cycle median", "p10", "p90", "create", "peak create"
    );
    for case in cases {
        case.cycles.sort();
        case.creates.sort();
        println!(
            "{:<8} {:>5} {:>9.2} ms {:>8.2} {:>8.2} {:>9.2} ms {:>8.1} MiB",
            case.name,
            case.gpus,
            at(&case.cycles, 50),
            at(&case.cycles, 10),
            at(&case.cycles, 90),
            at(&case.creates, 50),
            case.peak_kib as f64 / 1024.0,
        );
    }
}

/// The percentile of sorted times, in milliseconds.
fn at(sorted: &[Duration], percent: usize) -> f64 {
    let index = (sorted.len().saturating_sub(1)) * percent / 100;
    sorted
        .get(index)
        .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}
