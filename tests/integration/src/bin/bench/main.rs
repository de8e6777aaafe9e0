//! `bench`: container runtimes on one bundle, and amd-ctk on a host of 64 partitions.

mod ctk;
mod measure;
mod runtimes;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use integration::host::{Cgroups, Host, SimulatedHost};
use nix::mount::{MntFlags, umount2};

/// Compares container runtimes, and amd-ctk with the Go toolkit, on a simulated host with 64 GPUs
#[derive(Debug, Parser)]
struct Args {
    /// Cycles of each runtime and number of GPUs, and runs of each command of amd-ctk
    #[arg(long, default_value_t = 50)]
    runs: usize,
    /// The runtime that injects GPUs
    #[arg(long, value_name = "PATH")]
    ours: PathBuf,
    /// amd-ctk
    #[arg(long, value_name = "PATH")]
    ctk: PathBuf,
    /// A runtime to compare with; those that are not installed are left out
    #[arg(long, value_name = "NAME", default_values = ["runc", "crun"])]
    with: Vec<String>,
    /// Numbers of GPUs
    #[arg(long, value_delimiter = ',', default_values_t = [0, 8, 64])]
    gpus: Vec<usize>,
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
    runtimes::compare(&host, &args)?;
    println!();
    ctk::measure(&host, &args.ctk, args.runs)
}
