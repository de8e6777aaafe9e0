//! `ps`

use std::io::Write;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};

use super::Context;
use super::list::ListFormat;
use crate::ContainerId;

/// List the processes of a container
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Form of the list
    #[arg(short, long, value_enum, default_value_t)]
    format: ListFormat,
    /// The container, and options of ps(1) [default: -ef]
    #[arg(required = true, trailing_var_arg = true, value_names = ["ID", "PS OPTIONS"])]
    id_and_options: Vec<String>,
}

impl Args {
    pub fn run(self, context: &Context) -> Result<ExitCode> {
        let (id, options) = self
            .id_and_options
            .split_first()
            .context("a container is needed")?;
        let pids = context.runtime.pids(&ContainerId::new(id)?)?;
        let mut out = std::io::stdout().lock();
        if self.format == ListFormat::Json {
            // runc prints null where there is none.
            let json = match pids.as_slice() {
                [] => "null".to_owned(),
                pids => serde_json::to_string(pids)?,
            };
            writeln!(out, "{json}")?;
            return Ok(ExitCode::SUCCESS);
        }
        let options = if options.is_empty() {
            &["-ef".to_owned()][..]
        } else {
            options
        };
        let output = Command::new("ps")
            .args(options)
            .output()
            .context("cannot run ps")?;
        if !output.status.success() {
            bail!(
                "ps: {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        let listing = String::from_utf8_lossy(&output.stdout);
        write!(out, "{}", only(&listing, &pids)?)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The header of a listing of ps(1) and its lines about `pids`.
fn only(listing: &str, pids: &[i32]) -> Result<String> {
    let mut lines = listing.lines();
    let header = lines.next().unwrap_or_default();
    let column = header
        .split_whitespace()
        .position(|name| name == "PID")
        .context("couldn't find PID field in ps output")?;
    let is_wanted = |line: &&str| {
        let pid = line
            .split_whitespace()
            .nth(column)
            .and_then(|field| field.parse().ok());
        pid.is_some_and(|pid: i32| pids.contains(&pid))
    };
    Ok(std::iter::once(header)
        .chain(lines.filter(is_wanted))
        .flat_map(|line| [line, "\n"])
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lines_of_the_container_stay() {
        let listing = "UID PID CMD\nroot 1 init\nroot 12 sh\nroot 2 x 12\n";
        assert_eq!(only(listing, &[12]).unwrap(), "UID PID CMD\nroot 12 sh\n");
        assert!(only("CMD\nsh\n", &[1]).is_err());
    }
}
