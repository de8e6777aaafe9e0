//! `update`

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::{ContainerId, Limits};
use anyhow::{Context as _, Result, ensure};

use super::{Context, size};

/// Change the limits of a container; its GPUs stay
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File with the limits as in linux.resources, `-` for standard input; all other
    /// options are then ignored, as with runc
    #[arg(short, long, value_name = "FILE")]
    resources: Option<PathBuf>,
    /// Weight of block I/O, 10 to 1000
    #[arg(long)]
    blkio_weight: Option<u16>,
    /// CFS period in microseconds
    #[arg(long)]
    cpu_period: Option<u64>,
    /// CFS quota in microseconds
    #[arg(long, allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// CFS burst in microseconds
    #[arg(long)]
    cpu_burst: Option<u64>,
    /// CPU shares, relative to other containers
    #[arg(long)]
    cpu_share: Option<u64>,
    /// Real-time period in microseconds
    #[arg(long)]
    cpu_rt_period: Option<u64>,
    /// Real-time runtime in microseconds
    #[arg(long, allow_negative_numbers = true)]
    cpu_rt_runtime: Option<i64>,
    /// 1 to run at idle priority
    #[arg(long, allow_negative_numbers = true)]
    cpu_idle: Option<i64>,
    /// CPUs to use, as in 0-2,7
    #[arg(long)]
    cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long)]
    cpuset_mems: Option<String>,
    /// Memory limit in bytes or with a unit
    #[arg(long, value_parser = size::bytes, allow_negative_numbers = true)]
    memory: Option<i64>,
    /// Soft memory limit in bytes or with a unit
    #[arg(long, value_parser = size::bytes, allow_negative_numbers = true)]
    memory_reservation: Option<i64>,
    /// Limit of memory and swap together; -1 for no limit of swap
    #[arg(long, value_parser = size::bytes, allow_negative_numbers = true)]
    memory_swap: Option<i64>,
    /// Most processes the container may have; -1 for no limit
    #[arg(long, allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// Obsolete; has no effect
    #[arg(long, hide = true, value_parser = size::bytes, allow_negative_numbers = true)]
    kernel_memory: Option<i64>,
    /// Obsolete; has no effect
    #[arg(long, hide = true, value_parser = size::bytes, allow_negative_numbers = true)]
    kernel_memory_tcp: Option<i64>,
    /// Schema of Intel's cache allocation; refused, as this runtime makes no resctrl groups
    #[arg(long, value_name = "SCHEMA")]
    l3_cache_schema: Option<String>,
    /// Schema of Intel's memory bandwidth allocation; refused likewise
    #[arg(long, value_name = "SCHEMA")]
    mem_bw_schema: Option<String>,
    /// The container
    id: ContainerId,
}

impl Args {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        // runc's words.
        ensure!(
            self.l3_cache_schema.is_none(),
            "Intel RDT/CAT: l3 cache schema is not enabled"
        );
        ensure!(
            self.mem_bw_schema.is_none(),
            "Intel RDT/MBA: memory bandwidth schema is not enabled"
        );
        let limits = match &self.resources {
            Some(path) => Limits::from_json(&read(path)?)?,
            None => self.limits(),
        };
        context.runtime.update(&self.id, limits)?;
        Ok(ExitCode::SUCCESS)
    }

    fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        let mut set = |section, key, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                limits.set(section, key, value);
            }
        };
        set("blockIO", "weight", self.blkio_weight.map(Into::into));
        set("cpu", "period", self.cpu_period.map(Into::into));
        set("cpu", "quota", self.cpu_quota.map(Into::into));
        set("cpu", "burst", self.cpu_burst.map(Into::into));
        set("cpu", "shares", self.cpu_share.map(Into::into));
        set("cpu", "realtimePeriod", self.cpu_rt_period.map(Into::into));
        set(
            "cpu",
            "realtimeRuntime",
            self.cpu_rt_runtime.map(Into::into),
        );
        set("cpu", "idle", self.cpu_idle.map(Into::into));
        set("cpu", "cpus", self.cpuset_cpus.clone().map(Into::into));
        set("cpu", "mems", self.cpuset_mems.clone().map(Into::into));
        set("memory", "limit", self.memory.map(Into::into));
        set(
            "memory",
            "reservation",
            self.memory_reservation.map(Into::into),
        );
        set("memory", "swap", self.memory_swap.map(Into::into));
        set("memory", "kernel", self.kernel_memory.map(Into::into));
        set(
            "memory",
            "kernelTCP",
            self.kernel_memory_tcp.map(Into::into),
        );
        set("pids", "limit", self.pids_limit.map(Into::into));
        limits
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    if path != Path::new("-") {
        return std::fs::read(path).with_context(|| format!("cannot read {path:?}"));
    }
    let mut text = Vec::new();
    std::io::stdin()
        .read_to_end(&mut text)
        .context("cannot read standard input")?;
    Ok(text)
}
