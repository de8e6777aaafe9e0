//! The figures of a run, as tables and as JSON.

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::commands::{COMMANDS, CYCLE, Row};
use crate::ctk;
use crate::memory::Least;
use crate::scale::{Parallel, Present};
use crate::targets::Target;

/// All that a run has measured.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Processor, kernel and the runtimes' versions, a line each.
    pub machine: Vec<String>,
    /// Every command of every runtime.
    pub rows: Vec<Row>,
    /// With containers present.
    pub present: Vec<Present>,
    /// Creates at the same time.
    pub parallel: Vec<Parallel>,
    /// The least memory limits.
    pub least_memory: Vec<Least>,
    /// amd-ctk.
    pub ctk: Vec<ctk::Command>,
    /// What is met and missed.
    pub targets: Vec<Target>,
}

/// Prints all tables, in Markdown.
pub fn print(report: &Report) {
    for line in &report.machine {
        println!("- {line}");
    }
    println!("\n### A cycle: create + start + delete, in ms\n");
    println!("{}", cycles(&report.rows));
    println!("\n### Each command, medians in ms of wall time / CPU time\n");
    println!("{}", commands(&report.rows));
    if !report.present.is_empty() {
        println!("\n### With containers present, in ms: median (p10-p90)\n");
        println!("{}", present(&report.present));
    }
    if !report.parallel.is_empty() {
        println!(
            "\n### Creates at the same time, until the last has ended, in ms: median (p10-p90)\n"
        );
        println!("{}", parallel(&report.parallel));
    }
    if !report.least_memory.is_empty() {
        println!("\n### Least memory limit of a container, v1\n");
        println!("{}", memory(&report.least_memory));
    }
    println!("\n### amd-ctk, 64 partitions, in ms\n");
    println!("{}", amd_ctk(&report.ctk));
    println!("\n### Targets\n");
    println!("{}", targets(&report.targets));
}

fn cycles(rows: &[Row]) -> Table {
    let mut table = table(&[
        "cgroup", "bundle", "GPUs", "runtime", "median", "p10", "p90", "CPU", "peak MB", "to crun",
        "to runc",
    ]);
    for row in rows {
        let Some(cycle) = row.commands.get(CYCLE) else {
            continue;
        };
        let create = row.commands.get("create").unwrap_or(cycle);
        let to = |other: &str| {
            let other = rows.iter().find(|theirs| {
                (theirs.cgroups, theirs.bundle, theirs.gpus) == (row.cgroups, row.bundle, row.gpus)
                    && theirs.runtime == other
            });
            let theirs = other.and_then(|other| other.commands.get(CYCLE));
            theirs.map_or("-".to_owned(), |theirs| two(cycle.wall_ms / theirs.wall_ms))
        };
        table.add_row([
            row.cgroups.to_owned(),
            row.bundle.to_owned(),
            row.gpus.to_string(),
            row.runtime.clone(),
            two(cycle.wall_ms),
            two(cycle.wall_p10_ms),
            two(cycle.wall_p90_ms),
            two(cycle.cpu_ms),
            two(create.peak_mb),
            to("crun"),
            to("runc"),
        ]);
    }
    right(table, 4)
}

fn commands(rows: &[Row]) -> Table {
    let head = ["cgroup", "bundle", "GPUs", "runtime"];
    let mut table = table(&[&head[..], &COMMANDS].concat());
    for row in rows {
        let of = |command: &&str| {
            row.commands.get(command).map_or("-".to_owned(), |c| {
                format!("{:.2} / {:.1}", c.wall_ms, c.cpu_ms)
            })
        };
        let first = [
            row.cgroups.to_owned(),
            row.bundle.to_owned(),
            row.gpus.to_string(),
            row.runtime.clone(),
        ];
        table.add_row(first.into_iter().chain(COMMANDS.iter().map(of)));
    }
    right(table, 4)
}

fn present(levels: &[Present]) -> Table {
    let mut table = table(&["cgroup", "containers", "create", "state", "list"]);
    for level in levels {
        table.add_row([
            level.cgroups.to_owned(),
            level.containers.to_string(),
            spread(&level.create),
            spread(&level.state),
            spread(&level.list),
        ]);
    }
    right(table, 1)
}

fn parallel(levels: &[Parallel]) -> Table {
    let mut table = table(&["creates", "no GPUs", "a GPU each, tracker on", "ratio"]);
    for level in levels {
        table.add_row([
            level.creates.to_string(),
            spread(&level.without_gpus),
            spread(&level.tracked),
            two(level.tracked.wall_ms / level.without_gpus.wall_ms),
        ]);
    }
    right(table, 0)
}

fn memory(least: &[Least]) -> Table {
    let mut table = table(&["runtime", "limit"]);
    for least in least {
        let limit = least
            .limit_kib
            .map_or("-".to_owned(), |kib| format!("{kib} KiB"));
        table.add_row([least.runtime.clone(), limit]);
    }
    right(table, 1)
}

fn amd_ctk(commands: &[ctk::Command]) -> Table {
    let mut table = table(&["command", "median", "p10", "p90", "CPU", "Go toolkit"]);
    for command in commands {
        table.add_row([
            command.command.clone(),
            two(command.ours.wall_ms),
            two(command.ours.wall_p10_ms),
            two(command.ours.wall_p90_ms),
            two(command.ours.cpu_ms),
            command
                .go_ms
                .map_or("-".to_owned(), |ms| format!("{ms:.1}")),
        ]);
    }
    right(table, 1)
}

fn targets(targets: &[Target]) -> Table {
    let mut table = table(&["target", "at most", "measured", ""]);
    for target in targets {
        let number = |value: f64| match target.unit {
            "KiB" => format!("{value} KiB"),
            unit => format!("{value:.3} {unit}"),
        };
        table.add_row([
            target.what.clone(),
            number(target.bound),
            target.value.map_or("-".to_owned(), number),
            match target.met() {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "not measured",
            }
            .to_owned(),
        ]);
    }
    right(table, 1)
}

fn table(head: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(head.to_vec());
    table
}

/// With the columns from `first` on to the right.
fn right(mut table: Table, first: usize) -> Table {
    for column in table.column_iter_mut().skip(first) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn spread(summary: &integration::measure::Summary) -> String {
    format!(
        "{:.2} ({:.2}-{:.2})",
        summary.wall_ms, summary.wall_p10_ms, summary.wall_p90_ms
    )
}

fn two(value: f64) -> String {
    format!("{value:.2}")
}
