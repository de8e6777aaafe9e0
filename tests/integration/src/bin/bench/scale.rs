//! What our runtime's commands cost with many containers present, and many creates at the
//! same time.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::bundles::{self, Kind, Specs};
use crate::commands::Bench;
use crate::runtimes::Runtime;
use integration::measure::{Series, Summary, Used};

/// Containers that are made or removed at the same time, to be done with it.
const AT_ONCE: usize = 4;

/// Costs with a number of containers present.
#[derive(Clone, Debug, Serialize)]
pub struct Present {
    /// `v1` or `v2`.
    pub cgroups: &'static str,
    /// How many are running.
    pub containers: usize,
    /// Of a docker-like bundle.
    pub create: Summary,
    /// Of that container.
    pub state: Summary,
    /// Of all.
    pub list: Summary,
}

/// The time that a number of creates take that begin at the same time.
#[derive(Clone, Debug, Serialize)]
pub struct Parallel {
    /// How many.
    pub creates: usize,
    /// Without GPUs.
    pub without_gpus: Summary,
    /// With a GPU each, and the GPU tracker on.
    pub tracked: Summary,
}

/// Measures `create`, `state` and `list` with each number of containers present, and again
/// with none when they are gone: the figures with none are of both.
///
/// # Errors
/// Where the runtime fails.
pub fn present(
    bench: &mut Bench,
    ours: &Runtime,
    specs: &Specs,
    levels: &[usize],
    runs: usize,
) -> Result<Vec<Present>> {
    let rootfs = bundles::rootfs(&bench.host);
    let spec = specs.spec(Kind::Docker, 0);
    let probe = bundles::write(&bench.host, "probe", &rootfs, spec)?;
    let most = levels.iter().copied().max().unwrap_or(0);
    let mut there = Vec::new();
    for n in 0..most {
        let id = format!("there-{n}");
        let spec = specs.spec(Kind::Minimal, 0);
        there.push((bundles::write(&bench.host, &id, &rootfs, spec)?, id));
    }
    let mut measured = Vec::new();
    let mut up = 0;
    for &level in levels {
        let new = &there[up..level.max(up)];
        let create =
            |(bundle, id): &(String, String)| line(ours, &["create", "--bundle", bundle, id]);
        let start = |(_, id): &(String, String)| line(ours, &["start", id]);
        bench.all(new.iter().map(create).collect())?;
        bench.all(new.iter().map(start).collect())?;
        up = level.max(up);
        measured.push((level, probe_costs(bench, ours, &probe, runs)?));
    }
    let delete = |(_, id): &(String, String)| line(ours, &["delete", "--force", id]);
    bench.all(there[..up].iter().map(delete).collect())?;
    let again = probe_costs(bench, ours, &probe, runs)?;
    for (level, costs) in &mut measured {
        if *level == 0 {
            for (before, after) in costs.iter_mut().zip(&again) {
                before.append(after);
            }
        }
    }
    let cgroups = bench.cgroups;
    let figures = |(containers, [create, state, list]): (usize, [Series; 3])| Present {
        cgroups,
        containers,
        create: create.summary(),
        state: state.summary(),
        list: list.summary(),
    };
    Ok(measured.into_iter().map(figures).collect())
}

/// What `create`, `state` and `list` cost.
fn probe_costs(
    bench: &mut Bench,
    ours: &Runtime,
    bundle: &str,
    runs: usize,
) -> Result<[Series; 3]> {
    let mut run = |words: &[&str]| bench.runner.run(&ours.line(&ours.root(), words));
    let [mut create, mut state, mut list]: [Series; 3] = Default::default();
    for round in 0..runs + 2 {
        let created = run(&["create", "--bundle", bundle, "probe"])?;
        let seen = run(&["state", "probe"])?;
        run(&["delete", "--force", "probe"])?;
        if round > 1 {
            create.push(created);
            state.push(seen);
        }
    }
    // Not between two creates: it takes the longer the more containers there are, and a create that
    // comes after a pause waits on v1 until the kernel lets it move a process, as any runtime does.
    for _ in 0..runs {
        list.push(run(&["list"])?);
    }
    Ok([create, state, list])
}

/// Measures creates that begin at the same time, without GPUs and with a GPU each and the
/// tracker on, in turn.
///
/// # Errors
/// Where the runtime or amd-ctk fails.
pub fn parallel(
    bench: &mut Bench,
    ours: &Runtime,
    ctk: &str,
    specs: &Specs,
    levels: &[usize],
    runs: usize,
) -> Result<Vec<Parallel>> {
    let rootfs = bundles::rootfs(&bench.host);
    let most = levels.iter().copied().max().unwrap_or(0);
    let mut creates = [Vec::new(), Vec::new()];
    for n in 0..most {
        for (kind, creates) in creates.iter_mut().enumerate() {
            let spec = specs.spec(Kind::Docker, 0);
            let spec = match kind {
                0 => spec,
                _ => spec.env(&format!("AMD_VISIBLE_DEVICES={}", n % 64)),
            };
            let id = format!("parallel-{kind}-{n}");
            let bundle = bundles::write(&bench.host, &id, &rootfs, spec)?;
            creates.push((bundle, id));
        }
    }
    bench.runner.run(&[ctk, "gpu-tracker", "enable"])?;
    let mut measured = Vec::new();
    for &level in levels {
        let mut series: [Series; 2] = Default::default();
        for round in 0..=runs {
            for (creates, series) in creates.iter().zip(&mut series) {
                let creates = &creates[..level];
                let commands: Vec<_> = creates
                    .iter()
                    .map(|(bundle, id)| line(ours, &["create", "--bundle", bundle, id]))
                    .collect();
                let batch = bench.runner.run_all(&commands)?;
                if round > 0 {
                    series.push(Used {
                        wall: batch.wall,
                        cpu: batch
                            .each
                            .iter()
                            .map(|(_, used)| used.cpu)
                            .sum::<Duration>(),
                        peak_kib: batch
                            .each
                            .iter()
                            .map(|(_, used)| used.peak_kib)
                            .max()
                            .unwrap_or(0),
                    });
                }
                let delete = |(_, id): &(String, String)| line(ours, &["delete", "--force", id]);
                bench.all(creates.iter().map(delete).collect())?;
            }
        }
        let [without_gpus, tracked] = series.map(|series| series.summary());
        measured.push(Parallel {
            creates: level,
            without_gpus,
            tracked,
        });
    }
    bench.runner.run(&[ctk, "gpu-tracker", "disable"])?;
    Ok(measured)
}

impl Bench {
    /// Runs commands, a few at once.
    fn all(&mut self, commands: Vec<Vec<String>>) -> Result<()> {
        for some in commands.chunks(AT_ONCE) {
            self.runner.run_all(some)?;
        }
        Ok(())
    }
}

fn line(ours: &Runtime, words: &[&str]) -> Vec<String> {
    let root = ours.root();
    let line = ours.line(&root, words);
    line.into_iter().map(str::to_owned).collect()
}
