//! `tracker_bench`: what the GPU tracker costs a `create`, interleaved.
//!
//! Three simulated hosts with 64 GPUs and the reservations of 1,000 living containers each: one
//! with the tracker off, one with it on and all GPUs shared, one with 63 of them exclusive. In
//! turn, the same reservation is taken on each of them, and the same container created.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use chrono::Utc;
use clap::Parser;
use discovery::{HostRoot, Inventory};
use gpu_tracker::{Access, GrantedGpu, Reservation, Tracker};
use host_state::ProcessRef;
use integration::bundle::Bundle;
use integration::host::{Cgroups, Host, SimulatedHost};
use integration::spec::Spec;
use serde_json::json;

const PRESET: &str = "mi300x-8-cpx";
const ROOT: &str = "/run/state";
/// The GPU that the containers have which are there already; it stays shared.
const TAKEN: usize = 63;

/// Measures what the GPU tracker costs
#[derive(Debug, Parser)]
struct Args {
    /// Reservations of each kind
    #[arg(long, default_value_t = 1000)]
    runs: usize,
    /// Creates of each kind; none without --runtime
    #[arg(long, default_value_t = 50)]
    creates: usize,
    /// The runtime
    #[arg(long, value_name = "PATH")]
    runtime: Option<PathBuf>,
    /// Containers that have reservations already
    #[arg(long, default_value_t = 1000)]
    containers: usize,
}

/// How the tracker is set on a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Setting {
    Off,
    Shared,
    Exclusive,
}

struct Machine {
    setting: Setting,
    host: SimulatedHost,
    gpus: Vec<GrantedGpu>,
}

/// A measure on one machine: what is asked for, and the times it took.
struct Series {
    machine: usize,
    name: &'static str,
    gpus: std::ops::Range<usize>,
    times: Vec<Duration>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let machines = [Setting::Off, Setting::Shared, Setting::Exclusive]
        .map(|setting| Machine::start(setting, args.containers));
    let machines: Vec<Machine> = machines.into_iter().collect::<Result<_>>()?;
    let mut all: Vec<Series> = Vec::new();
    for (machine, name) in ["off", "on, shared", "on, exclusive"]
        .into_iter()
        .enumerate()
    {
        for gpus in [0..TAKEN, 0..1] {
            let times = Vec::new();
            all.push(Series {
                machine,
                name,
                gpus,
                times,
            });
        }
    }
    for round in 0..=args.runs {
        for series in &mut all {
            let time = machines[series.machine].reserve(&series.gpus)?;
            // One round to warm caches, not counted.
            if round > 0 {
                series.times.push(time);
            }
        }
    }
    let count = args.containers;
    println!("taking a reservation, {count} containers have one already");
    print(&mut all);

    if let Some(runtime) = &args.runtime {
        let runtime = fs::canonicalize(runtime).context("no such runtime")?;
        let mut all: Vec<Series> = all
            .into_iter()
            .map(|series| Series {
                times: Vec::new(),
                ..series
            })
            .collect();
        for round in 0..=args.creates {
            for series in &mut all {
                let time = machines[series.machine].create(&runtime, &series.gpus)?;
                if round > 0 {
                    series.times.push(time);
                }
            }
        }
        println!("\na whole create, {count} containers have a reservation already");
        print(&mut all);
    }
    Ok(())
}

impl Machine {
    fn start(setting: Setting, containers: usize) -> Result<Self> {
        let preset = Host::preset(PRESET).context("no such preset")?;
        let host = SimulatedHost::start(&preset, Cgroups::V1)?;
        let gpus = host.inside(|| -> Result<_> {
            let inventory = Inventory::identify(&HostRoot::system())?;
            let gpus: Vec<_> = inventory.gpus.iter().map(GrantedGpu::from).collect();
            ensure!(gpus.len() == TAKEN + 1, "{} GPUs", gpus.len());
            for n in 0..containers {
                take(&format!("there-{n}"), vec![gpus[TAKEN].clone()])?;
            }
            let tracker = Tracker::new(HostRoot::system());
            if setting != Setting::Off {
                let running = tracker.enable(&gpus)?.running.len();
                ensure!(running == containers, "{running} containers are known");
            }
            if setting == Setting::Exclusive {
                let change = tracker.set_access(&gpus[..TAKEN], Access::Exclusive)?;
                ensure!(change.refused.is_empty(), "{change:?}");
                // As on a node that is full: an entry in the index for each exclusive GPU.
                for (n, gpu) in gpus[1..TAKEN].iter().enumerate() {
                    take(&format!("exclusive-{n}"), vec![gpu.clone()])?;
                    fs::remove_dir_all(Path::new(ROOT).join(format!("exclusive-{n}")))?;
                }
            }
            Ok(gpus)
        })??;
        Bundle::new(&host, "rootfs", Spec::docker());
        Ok(Self {
            setting,
            host,
            gpus,
        })
    }

    fn reserve(&self, gpus: &std::ops::Range<usize>) -> Result<Duration> {
        let gpus = self.gpus[gpus.clone()].to_vec();
        self.host.inside(|| {
            let time = take("new", gpus)?;
            fs::remove_dir_all(Path::new(ROOT).join("new"))?;
            Ok(time)
        })?
    }

    fn create(&self, runtime: &Path, gpus: &std::ops::Range<usize>) -> Result<Duration> {
        let bundle = Path::new("/run/bundles/create");
        let spec = Spec::docker()
            .env(&format!(
                "AMD_VISIBLE_DEVICES={}-{}",
                gpus.start,
                gpus.end - 1
            ))
            .args(&["true"])
            .set("/root/path", json!("/run/bundles/rootfs/rootfs"))
            .cgroups_path(&format!("{}/create", self.host.cgroup()));
        self.host.inside(|| -> Result<()> {
            fs::create_dir_all(bundle)?;
            Ok(fs::write(
                bundle.join("config.json"),
                spec.json().to_string(),
            )?)
        })??;
        let call = |words: &[&str]| -> Result<()> {
            let mut command = Command::new(runtime);
            command.args(["--root", ROOT]).args(words);
            let quiet = command.stdin(Stdio::null()).stdout(Stdio::null());
            let status = self.host.spawn(quiet)?.wait()?;
            ensure!(status.success(), "{:?}: {words:?} failed", self.setting);
            Ok(())
        };
        let begin = Instant::now();
        call(&["create", "--bundle", "/run/bundles/create", "create"])?;
        let time = begin.elapsed();
        call(&["delete", "--force", "create"])?;
        Ok(time)
    }
}

/// Takes a reservation as `create` does; how long that took.
fn take(id: &str, gpus: Vec<GrantedGpu>) -> Result<Duration> {
    let dir = Path::new(ROOT).join(id);
    fs::create_dir_all(&dir)?;
    let Some(process) = ProcessRef::of(1) else {
        bail!("the host has no init");
    };
    let reservation = Reservation {
        id: id.to_owned(),
        root: ROOT.into(),
        gpus,
        process,
        cgroups: Vec::new(),
        since: Utc::now(),
        bundle: dir.clone(),
        rootfs: dir,
        image: None,
    };
    let tracker = Tracker::new(HostRoot::system());
    let begin = Instant::now();
    tracker.reserve(&reservation)?;
    Ok(begin.elapsed())
}

fn print(all: &mut [Series]) {
    println!(
        "{:<14} {:>5} {:>10} {:>8} {:>8} {:>10}",
        "tracker", "GPUs", "median", "p10", "p90", "over off"
    );
    let medians: Vec<(usize, f64)> = all
        .iter_mut()
        .map(|series| {
            series.times.sort();
            (series.gpus.len(), at(&series.times, 50))
        })
        .collect();
    for (series, (gpus, median)) in all.iter().zip(&medians) {
        let off = medians.iter().find(|(count, _)| count == gpus);
        println!(
            "{:<14} {:>5} {:>7.3} ms {:>8.3} {:>8.3} {:>7.3} ms",
            series.name,
            gpus,
            median,
            at(&series.times, 10),
            at(&series.times, 90),
            median - off.map_or(0.0, |(_, off)| *off),
        );
    }
}

/// The percentile of sorted times, in milliseconds.
fn at(sorted: &[Duration], percent: usize) -> f64 {
    let index = sorted.len().saturating_sub(1) * percent / 100;
    sorted
        .get(index)
        .map_or(0.0, |time| time.as_secs_f64() * 1000.0)
}
