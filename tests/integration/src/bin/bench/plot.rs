//! The plot: cost against the number of GPUs, of containers present, and of creates at once.

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::commands::{CYCLE, Row};
use crate::report::Report;

const SIZE: (u32, u32) = (1260, 420);
const COLOURS: [RGBColor; 6] = [
    RGBColor(0xd6, 0x27, 0x28),
    RGBColor(0x1f, 0x77, 0xb4),
    RGBColor(0x2c, 0xa0, 0x2c),
    RGBColor(0xff, 0x7f, 0x0e),
    RGBColor(0x94, 0x67, 0xbd),
    RGBColor(0x8c, 0x56, 0x4b),
];

/// A line of a chart: its name, and its points.
type Line = (String, Vec<(f64, f64)>);
type Panel<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Writes it as SVG.
///
/// # Errors
/// Where the file cannot be written.
pub fn write(report: &Report, path: &Path) -> Result<()> {
    draw(report, path).map_err(|err| anyhow!("cannot draw {}: {err}", path.display()))
}

fn draw(report: &Report, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let panels = root.split_evenly((1, 3));
    let [gpus, present, parallel] = panels.as_slice() else {
        return Err("three panels".into());
    };
    let title = "cycle, docker-like bundle, v1";
    chart(gpus, title, "GPUs", &of_gpus(&report.rows))?;
    chart(
        present,
        "with containers present",
        "containers",
        &of_present(report),
    )?;
    chart(
        parallel,
        "creates at once, until the last ends",
        "creates",
        &of_parallel(report),
    )?;
    root.present()?;
    Ok(())
}

fn of_gpus(rows: &[Row]) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for row in rows {
        if (row.cgroups, row.bundle) != ("v1", "docker") {
            continue;
        }
        let Some(cycle) = row.commands.get(CYCLE) else {
            continue;
        };
        let point = (row.gpus as f64, cycle.wall_ms);
        match lines.iter_mut().find(|(name, _)| *name == row.runtime) {
            Some((_, points)) => points.push(point),
            None => lines.push((row.runtime.clone(), vec![point])),
        }
    }
    lines
}

fn of_present(report: &Report) -> Vec<Line> {
    let line = |name: &str, cgroups: &str, value: fn(&crate::scale::Present) -> f64| {
        let point = |level| (f64::from(level_of(level)), value(level));
        let levels = report
            .present
            .iter()
            .filter(|level| level.cgroups == cgroups);
        (name.to_owned(), levels.map(point).collect())
    };
    vec![
        line("create, v1", "v1", |level| level.create.wall_ms),
        line("create, v2", "v2", |level| level.create.wall_ms),
        line("state, v1", "v1", |level| level.state.wall_ms),
        line("list, v1", "v1", |level| level.list.wall_ms),
    ]
}

fn level_of(level: &crate::scale::Present) -> u32 {
    u32::try_from(level.containers).unwrap_or(u32::MAX)
}

fn of_parallel(report: &Report) -> Vec<Line> {
    let line = |name: &str, value: fn(&crate::scale::Parallel) -> f64| {
        let point = |level: &crate::scale::Parallel| (level.creates as f64, value(level));
        (name.to_owned(), report.parallel.iter().map(point).collect())
    };
    vec![
        line("no GPUs", |level| level.without_gpus.wall_ms),
        line("a GPU each, tracker on", |level| level.tracked.wall_ms),
    ]
}

fn chart(
    panel: &Panel<'_>,
    title: &str,
    x: &str,
    lines: &[Line],
) -> Result<(), Box<dyn std::error::Error>> {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(1.0, f64::max);
    let mut chart = ChartBuilder::on(panel)
        .caption(title, ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(
            0.0..most(|point| point.0) * 1.05,
            0.0..most(|point| point.1) * 1.25,
        )?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(6)
        .x_label_formatter(&|x| format!("{x:.0}"))
        .x_desc(x)
        .y_desc("ms")
        .draw()?;
    for ((name, points), colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
        chart
            .draw_series(
                LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3),
            )?
            .label(name.as_str())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    Ok(())
}
