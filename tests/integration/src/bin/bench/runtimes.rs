//! The runtimes that are compared.

use std::path::PathBuf;

use anyhow::{Context, Result};
use integration::require;

use crate::Args;

/// A runtime.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// Its name in tables.
    pub name: String,
    /// Its binary.
    pub program: String,
    /// Whether it injects GPUs: the others find them written in their spec.
    pub injects: bool,
    /// The first line of its `--version`.
    pub version: String,
}

/// Ours, other builds of it, and those of `--with` that are installed.
///
/// # Errors
/// Where a path is none.
pub fn installed(args: &Args) -> Result<Vec<Runtime>> {
    let mut all = vec![Runtime::new("ours", args.ours.clone(), true)?];
    for also in &args.also {
        let (name, path) = also.split_once('=').context("--also NAME=PATH")?;
        all.push(Runtime::new(name, path.into(), true)?);
    }
    for name in &args.with {
        match require::find(name) {
            Some(path) => all.push(Runtime::new(name, path, false)?),
            None => eprintln!("{name} is not installed, and left out"),
        }
    }
    Ok(all)
}

impl Runtime {
    fn new(name: &str, program: PathBuf, injects: bool) -> Result<Self> {
        let program = program
            .canonicalize()
            .with_context(|| format!("no runtime at {}", program.display()))?;
        let program = program.to_str().context("a path that is no text")?;
        let output = std::process::Command::new(program)
            .arg("--version")
            .output()
            .with_context(|| format!("cannot run {program}"))?;
        let version = String::from_utf8_lossy(&output.stdout);
        Ok(Self {
            name: name.to_owned(),
            program: program.to_owned(),
            injects,
            version: version.lines().next().unwrap_or_default().to_owned(),
        })
    }

    /// Its state root on every host.
    pub fn root(&self) -> String {
        format!("/run/bench/{}", self.name)
    }

    /// A command line.
    pub fn line<'a>(&'a self, root: &'a str, words: &[&'a str]) -> Vec<&'a str> {
        [&[self.program.as_str(), "--root", root], words].concat()
    }
}
