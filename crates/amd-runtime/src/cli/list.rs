//! `list`

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;

use crate::process::passwd::name_of;
use crate::state::StateError;
use crate::{ContainerState, Error, chain};
use anyhow::Result;
use chrono::SecondsFormat;

use super::Context;

/// List the containers below --root
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Form of the list
    #[arg(short, long, value_enum, default_value_t)]
    format: ListFormat,
    /// Print ids only
    #[arg(short, long)]
    quiet: bool,
}

/// Forms of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ListFormat {
    /// A table for people.
    #[default]
    Table,
    /// JSON for programs.
    Json,
}

impl Args {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        let containers = containers(context)?;
        let mut out = std::io::stdout().lock();
        if self.quiet {
            for container in &containers {
                writeln!(out, "{}", container.id)?;
            }
        } else if self.format == ListFormat::Json {
            // runc prints null where there is none.
            let json = if containers.is_empty() {
                "null".to_owned()
            } else {
                serde_json::to_string(&containers)?
            };
            writeln!(out, "{json}")?;
        } else {
            write!(out, "{}", table(&containers))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn containers(context: &Context) -> Result<Vec<ContainerState>> {
    if context.default_root && !context.runtime.root_exists() {
        return Ok(Vec::new());
    }
    let mut containers = Vec::new();
    let mut names = BTreeMap::new();
    for id in context.runtime.ids()? {
        match context.runtime.state(&id) {
            Ok(mut state) => {
                let uid = fs::metadata(context.root.join(id.as_str())).map(|dir| dir.uid());
                let name = |uid| names.entry(uid).or_insert_with(|| user(uid)).clone();
                state.owner = uid.map(name).unwrap_or_default();
                containers.push(state);
            }
            // Deleted meanwhile.
            Err(Error::State(StateError::NotExist { .. })) => {}
            // One that cannot be read does not hide the others.
            Err(err) => super::say(&format!("load container {id}: {}", chain(&err))),
        }
    }
    Ok(containers)
}

/// Who owns a container, as its state directory tells: a name, or `#` and a number.
fn user(uid: u32) -> String {
    let name = name_of(Path::new("/etc/passwd"), uid).ok().flatten();
    name.map_or_else(
        || format!("#{uid}"),
        |name| String::from_utf8_lossy(&name).into_owned(),
    )
}

/// The table of runc: at least 12 columns a field, three blanks between two.
fn table(containers: &[ContainerState]) -> String {
    let header = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let rows = containers.iter().map(|c| {
        [
            c.id.clone(),
            c.pid.to_string(),
            c.status.to_string(),
            c.bundle.display().to_string(),
            c.created.to_rfc3339_opts(SecondsFormat::Nanos, true),
            c.owner.clone(),
        ]
    });
    let rows: Vec<[String; 6]> = std::iter::once(header).chain(rows).collect();
    let width = |column: usize| {
        rows.iter()
            .map(|row| row[column].chars().count() + 3)
            .max()
            .unwrap_or(0)
            .max(12)
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    rows.iter()
        .map(|row| {
            let cells = row
                .iter()
                .zip(widths)
                .enumerate()
                .map(|(column, (cell, width))| {
                    if column == 5 {
                        cell.clone()
                    } else {
                        format!("{cell:width$}")
                    }
                });
            cells.collect::<String>() + "\n"
        })
        .collect()
}
