//! Create, start and delete of one bundle under several runtimes, interleaved.
//!
//! Every runtime gets the same effective spec: with GPUs, ours is asked for them by
//! AMD_VISIBLE_DEVICES, and the others find the same nodes, rules and groups written in
//! the spec, so that only the way there differs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use integration::bundle::Bundle;
use integration::host::SimulatedHost;
use integration::spec::Spec;
use serde_json::{Value, json};

use crate::Args;
use crate::measure::{Used, percentile, run};

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

/// Runs all cycles, and prints the table.
///
/// # Errors
/// Where a runtime fails.
pub fn compare(host: &SimulatedHost, args: &Args) -> Result<()> {
    let mut cases = cases(host, args)?;
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
        call(
            ours,
            root,
            &["create", "--bundle", text(bundle.path())?, "effective"],
        )?;
        let config = fs::read(root.join("effective/spec.json"))?;
        call(ours, root, &["delete", "--force", "effective"])?;
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
        let create = call(&self.program, &root, &["create", "--bundle", bundle, &id])?;
        call(&self.program, &root, &["start", &id])?;
        call(&self.program, &root, &["delete", "--force", &id])?;
        let cycle = begin.elapsed();
        if counts {
            self.cycles.push(cycle);
            self.creates.push(create.wall);
            self.peak_kib = self.peak_kib.max(create.peak_kib);
        }
        Ok(())
    }
}

/// Runs a runtime to its end.
fn call(program: &Path, root: &Path, words: &[&str]) -> Result<Used> {
    run(Command::new(program).arg("--root").arg(root).args(words))
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
            percentile(&case.cycles, 50),
            percentile(&case.cycles, 10),
            percentile(&case.cycles, 90),
            percentile(&case.creates, 50),
            case.peak_kib as f64 / 1024.0,
        );
    }
}
