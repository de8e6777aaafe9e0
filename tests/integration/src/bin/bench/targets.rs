//! What the runtime is meant to cost, and whether it does.

use serde::Serialize;

use crate::commands::{CYCLE, Row};
use crate::report::Report;

/// At most a bound, or missed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Target {
    /// What it is about.
    pub what: String,
    /// The most that it may be.
    pub bound: f64,
    /// What it is; none where the run has not measured it.
    pub value: Option<f64>,
    /// Of both numbers: `x`, `ms`, `MB`, `KiB`.
    pub unit: &'static str,
}

impl Target {
    /// Whether it is met; none where the run has not measured it.
    pub fn met(&self) -> Option<bool> {
        self.value.map(|value| value <= self.bound)
    }
}

/// All targets, with the figures of a run.
pub fn all(report: &Report) -> Vec<Target> {
    let mut all = Vec::new();
    for cgroups in ["v1", "v2"] {
        if report.rows.iter().any(|row| row.cgroups == cgroups) {
            all.extend(of_commands(&report.rows, cgroups));
        }
    }
    all.extend(of_the_rest(report));
    all
}

fn of_commands(rows: &[Row], cgroups: &str) -> Vec<Target> {
    let of = |runtime: &str, bundle: &str, gpus: usize| {
        rows.iter().find(|row| {
            (row.cgroups, row.bundle, row.gpus) == (cgroups, bundle, gpus) && row.runtime == runtime
        })
    };
    let wall = |runtime: &str, bundle: &str, gpus: usize, command: &str| {
        Some(of(runtime, bundle, gpus)?.commands.get(command)?.wall_ms)
    };
    let ratio = |bundle: &str, command: &str, other: &str| {
        Some(wall("ours", bundle, 0, command)? / wall(other, bundle, 0, command)?)
    };
    let target = |what: &str, bound: f64, value: Option<f64>, unit| Target {
        what: format!("{cgroups}: {what}"),
        bound,
        value,
        unit,
    };
    let mut all = vec![
        target(
            "cycle, minimal, to crun",
            0.8,
            ratio("minimal", CYCLE, "crun"),
            "x",
        ),
        target(
            "cycle, minimal, to runc",
            0.5,
            ratio("minimal", CYCLE, "runc"),
            "x",
        ),
        target(
            "cycle, docker-like, to crun",
            0.8,
            ratio("docker", CYCLE, "crun"),
            "x",
        ),
    ];
    for command in ["state", "exec", "kill", "delete"] {
        let what = format!("{command}, minimal, to crun");
        all.push(target(&what, 0.8, ratio("minimal", command, "crun"), "x"));
    }
    for bundle in ["minimal", "docker"] {
        let what = format!("cycle, {bundle}, 64 GPUs more than none");
        let cycle = |gpus| wall("ours", bundle, gpus, CYCLE);
        let more = cycle(64)
            .zip(cycle(0))
            .map(|(with, without)| with - without);
        all.push(target(&what, 1.0, more, "ms"));
    }
    let peaks = rows
        .iter()
        .filter(|row| row.cgroups == cgroups && row.runtime == "ours");
    let peak = peaks
        .filter_map(|row| Some(row.commands.get("create")?.peak_mb))
        .max_by(f64::total_cmp);
    all.push(target("peak memory of create, any bundle", 4.5, peak, "MB"));
    all
}

fn of_the_rest(report: &Report) -> Vec<Target> {
    let target = |what: &str, bound: f64, value: Option<f64>, unit| Target {
        what: what.to_owned(),
        bound,
        value,
        unit,
    };
    let least = |name: &str| {
        let least = report
            .least_memory
            .iter()
            .find(|least| least.runtime == name)?;
        Some(least.limit_kib? as f64)
    };
    let mut all = vec![target(
        "least memory limit, no more than crun's",
        least("crun").unwrap_or_default(),
        least("crun").and(least("ours")),
        "KiB",
    )];
    let cdi = report
        .ctk
        .iter()
        .find(|command| command.command.starts_with("cdi generate"));
    let cdi = cdi.and_then(|cdi| Some(cdi.ours.wall_ms / cdi.go_ms?));
    all.push(target(
        "cdi generate, 64 GPUs, to the Go toolkit",
        0.02,
        cdi,
        "x",
    ));
    for levels in report
        .present
        .chunk_by(|one, other| one.cgroups == other.cgroups)
    {
        let [none, .., most] = levels else {
            continue;
        };
        let (cgroups, many) = (most.cgroups, most.containers);
        for (command, with, without) in [
            ("create", most.create.wall_ms, none.create.wall_ms),
            ("state", most.state.wall_ms, none.state.wall_ms),
        ] {
            let what = format!("{cgroups}: {command} with {many} containers, to none");
            all.push(target(&what, 1.1, Some(with / without), "x"));
        }
        // A container costs the same whether it is one of few or of many.
        let fewer = levels.iter().rev().nth(1).unwrap_or(none);
        let each = |level: &crate::scale::Present| {
            (level.list.wall_ms - none.list.wall_ms) / level.containers.max(1) as f64
        };
        let what = format!(
            "{cgroups}: list, a container of {many} to one of {}",
            fewer.containers
        );
        all.push(target(&what, 1.2, Some(each(most) / each(fewer)), "x"));
    }
    if let Some(most) = report.parallel.last() {
        let what = format!(
            "{} creates at once, tracker on, to without GPUs",
            most.creates
        );
        let ratio = most.tracked.wall_ms / most.without_gpus.wall_ms;
        all.push(target(&what, 1.2, Some(ratio), "x"));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_met_up_to_its_bound_and_open_without_a_figure() {
        let target = |value| Target {
            what: String::new(),
            bound: 0.8,
            value,
            unit: "x",
        };
        assert_eq!(target(Some(0.8)).met(), Some(true));
        assert_eq!(target(Some(0.81)).met(), Some(false));
        assert_eq!(target(None).met(), None);
    }
}
