//! Each command of each runtime, interleaved: one container's life under the first, the
//! same under the second, and so on, and then again.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use integration::host::{Cgroups, Host, SimulatedHost};
use nix::mount::{MntFlags, umount2};
use serde::Serialize;

use crate::bundles::{self, Kind, PRESET, Specs};
use crate::runner::Runner;
use crate::runtimes::Runtime;
use integration::measure::{Series, Summary};

/// The commands, in the order in which a container meets them.
pub const COMMANDS: [&str; 6] = ["create", "state", "start", "exec", "kill", "delete"];
/// Create, start and delete of one container: the sum of their times.
pub const CYCLE: &str = "cycle";

/// A host on which runtimes are compared.
pub struct Bench {
    /// `v1` or `v2`.
    pub cgroups: &'static str,
    /// The host.
    pub host: SimulatedHost,
    /// What runs programs on it.
    pub runner: Runner,
}

/// The figures of a runtime with one bundle.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// `v1` or `v2`.
    pub cgroups: &'static str,
    /// `minimal` or `docker`.
    pub bundle: &'static str,
    /// The number of GPUs.
    pub gpus: usize,
    /// The runtime's name.
    pub runtime: String,
    /// By command, and of the whole cycle.
    pub commands: BTreeMap<&'static str, Summary>,
}

impl Bench {
    /// A host with this version of cgroups.
    ///
    /// # Errors
    /// Where it does not start.
    pub fn start(cgroups: Cgroups) -> Result<Self> {
        let preset = Host::preset(PRESET).context("no such preset")?;
        let host = SimulatedHost::start(&preset, cgroups)?;
        // crun 1.8 refuses hybrid cgroups; a host without the unified hierarchy is the
        // same for all.
        if cgroups == Cgroups::V1 {
            host.inside(|| {
                let _ = umount2("/sys/fs/cgroup/unified", MntFlags::MNT_DETACH);
            })?;
        }
        Ok(Self {
            cgroups: match cgroups {
                Cgroups::V1 => "v1",
                Cgroups::V2 => "v2",
            },
            runner: Runner::start(&host)?,
            host,
        })
    }
}

/// One runtime with one bundle.
struct Case<'r> {
    bench: usize,
    kind: Kind,
    gpus: usize,
    runtime: &'r Runtime,
    bundle: String,
    id: String,
    series: [Series; COMMANDS.len()],
}

/// Runs `runs` rounds of all cases on all hosts.
///
/// # Errors
/// Where our runtime fails. Another one that does is left out from there.
pub fn compare(
    benches: &mut [Bench],
    runtimes: &[Runtime],
    specs: &Specs,
    gpus: &[usize],
    runs: usize,
) -> Result<Vec<Row>> {
    let mut cases = Vec::new();
    for (index, bench) in benches.iter_mut().enumerate() {
        for &gpus in gpus {
            for kind in [Kind::Minimal, Kind::Docker] {
                cases.extend(bench.cases(index, runtimes, specs, kind, gpus)?);
            }
        }
    }
    // Two rounds to warm caches, not counted.
    for round in 0..runs + 2 {
        let mut failed = Vec::new();
        for index in order(&cases, round) {
            let case = &mut cases[index];
            let bench = &mut benches[case.bench];
            match case.cycle(&mut bench.runner, round > 1) {
                Ok(()) => {}
                Err(err) if case.runtime.injects => {
                    return Err(err.context(format!("{} on {}", case.id, bench.cgroups)));
                }
                Err(err) => {
                    eprintln!("{} on {}: left out: {err:#}", case.id, bench.cgroups);
                    failed.push(index);
                }
            }
        }
        failed.sort_unstable();
        for index in failed.into_iter().rev() {
            cases.remove(index);
        }
    }
    Ok(cases
        .iter()
        .map(|case| case.row(benches[case.bench].cgroups))
        .collect())
}

/// The order of a round. What a runtime leaves to the kernel, such as a cgroup to free, costs the next
/// one: so none is always first, and none always behind the same.
fn order(cases: &[Case<'_>], round: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..cases.len()).collect();
    let place = |index: &usize| {
        let case = &cases[*index];
        (case.bench, case.kind, case.gpus)
    };
    for runtimes in order.chunk_by_mut(|one, other| place(one) == place(other)) {
        runtimes.rotate_left(round / 2 % runtimes.len());
        if round % 2 == 1 {
            runtimes.reverse();
        }
    }
    order
}

impl Bench {
    fn cases<'r>(
        &mut self,
        index: usize,
        runtimes: &'r [Runtime],
        specs: &Specs,
        kind: Kind,
        gpus: usize,
    ) -> Result<Vec<Case<'r>>> {
        let rootfs = bundles::rootfs(&self.host);
        let mut effective = None;
        let mut cases = Vec::new();
        for runtime in runtimes {
            let id = format!("{}-{}-{gpus}", runtime.name, kind.name());
            let spec = specs.spec(kind, gpus);
            let spec = match &effective {
                Some(effective) if !runtime.injects && gpus > 0 => {
                    bundles::with_devices(spec, effective)
                }
                _ => spec,
            };
            let bundle = bundles::write(&self.host, &id, &rootfs, spec)?;
            // The first runtime is ours.
            if effective.is_none() && gpus > 0 {
                effective = Some(bundles::effective_spec(
                    &self.host,
                    &mut self.runner,
                    runtime,
                    &bundle,
                )?);
            }
            cases.push(Case {
                bench: index,
                kind,
                gpus,
                runtime,
                bundle,
                id,
                series: Default::default(),
            });
        }
        Ok(cases)
    }
}

impl Case<'_> {
    fn cycle(&mut self, runner: &mut Runner, counts: bool) -> Result<()> {
        let root = self.runtime.root();
        let id = self.id.as_str();
        let pid_file = format!("{}/pid", self.bundle);
        for (command, series) in COMMANDS.iter().zip(&mut self.series) {
            let create = [
                "create",
                "--bundle",
                &self.bundle,
                "--pid-file",
                &pid_file,
                id,
            ];
            let kill = ["kill", id, "KILL"];
            let exec = ["exec", id, "true"];
            let other = [*command, id];
            let words: &[&str] = match *command {
                "create" => &create,
                "exec" => &exec,
                "kill" => &kill,
                _ => &other,
            };
            let used = runner.run(&self.runtime.line(&root, words))?;
            if counts {
                series.push(used);
            }
            if *command == "kill" {
                runner.wait_end(&pid_file)?;
            }
        }
        Ok(())
    }

    fn row(&self, cgroups: &'static str) -> Row {
        let [create, _, start, _, _, delete] = &self.series;
        let cycle = Series::sum(&[create, start, delete]).summary();
        let each = COMMANDS
            .into_iter()
            .zip(self.series.iter().map(Series::summary));
        Row {
            cgroups,
            bundle: self.kind.name(),
            gpus: self.gpus,
            runtime: self.runtime.name.clone(),
            commands: each.chain([(CYCLE, cycle)]).collect(),
        }
    }
}
