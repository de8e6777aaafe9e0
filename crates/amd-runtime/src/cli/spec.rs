//! `spec`

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::spec::{CONFIG, example};

/// Write a config.json to start from
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory to write it to [default: the current directory]
    #[arg(
        short,
        long,
        value_name = "DIR",
        default_value = ".",
        hide_default_value = true
    )]
    bundle: PathBuf,
    /// For a container in a user namespace of the caller
    #[arg(long)]
    rootless: bool,
}

impl Args {
    pub fn run(self) -> Result<ExitCode> {
        let path = self.bundle.join(CONFIG);
        let mut spec = example::example();
        if self.rootless {
            let (uid, gid) = (
                nix::unistd::geteuid().as_raw(),
                nix::unistd::getegid().as_raw(),
            );
            example::make_rootless(&mut spec, uid, gid);
        }
        let mut file = match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => file,
            Err(err) if err.kind() == ErrorKind::AlreadyExists => {
                bail!("File {} exists. Remove it first", path.display())
            }
            Err(err) => return Err(err).with_context(|| format!("cannot write {path:?}")),
        };
        let mut buffer = Vec::new();
        let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut buffer, tabs);
        serde::Serialize::serialize(&spec, &mut serializer)?;
        file.write_all(&buffer)
            .with_context(|| format!("cannot write {path:?}"))?;
        Ok(ExitCode::SUCCESS)
    }
}
