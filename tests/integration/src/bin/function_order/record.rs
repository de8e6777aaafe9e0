//! The lives of containers whose functions are recorded.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use clap::Parser;
use integration::bundle::Bundle;
use integration::host::{Cgroups, Host, SimulatedHost};
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use serde_json::json;

use crate::map;
use crate::trace::{self, Image};

/// Eight boards of eight partitions.
const PRESET: &str = "mi300x-8-cpx";

/// Prints the symbols of the functions that a container's life needs
#[derive(Debug, Parser)]
struct Args {
    /// The runtime
    #[arg(long, value_name = "PATH")]
    runtime: PathBuf,
    /// The map that its linker wrote
    #[arg(long, value_name = "PATH")]
    map: PathBuf,
}

/// Records, and prints.
///
/// # Errors
/// Where a container cannot be run.
pub fn main() -> Result<()> {
    let args = Args::parse();
    let program = args.runtime.canonicalize().context("no such runtime")?;
    let map = fs::read_to_string(&args.map).context("cannot read the map")?;
    let functions = map::functions(&map);
    let elf = fs::read(&program).context("cannot read the runtime")?;
    let image = Image::new(&elf, functions.keys().copied().collect())?;

    let mut printed = BTreeSet::new();
    for executed in lives(&program, &image)? {
        for function in executed {
            if printed.insert(function) {
                functions[&function]
                    .iter()
                    .for_each(|name| println!("{name}"));
            }
        }
    }
    Ok(())
}

/// The functions of each command: first of those that are the same whatever the container is, then of
/// create, of the simplest container and of docker's.
fn lives(program: &Path, image: &Image) -> Result<Vec<Vec<u64>>> {
    let mut short = Vec::new();
    let mut long = Vec::new();
    for cgroups in [Cgroups::V2, Cgroups::V1] {
        if cgroups == Cgroups::V1 && !require::cgroup_v1() {
            bail!("this machine has no cgroup v1, and the list is to be good for both versions");
        }
        let preset = Host::preset(PRESET).context("no such preset")?;
        let host = SimulatedHost::start(&preset, cgroups)?;
        let runtime = Runtime::at(&host, program.to_owned());
        let record = |words: &[&str]| {
            let mut command = runtime.command(words);
            command.stdin(Stdio::null()).stdout(Stdio::null());
            host.inside(|| trace::run(image, &mut command))?
                .with_context(|| format!("{} {}", program.display(), words.join(" ")))
        };
        for (id, spec) in [("simple", Spec::minimal()), ("docker", docker())] {
            let spec = spec.args(&["sleep", "100000"]);
            let bundle = Bundle::new(&host, id, spec);
            let path = bundle.path().to_str().context("a path that is no text")?;
            // Twice: the first compiles the seccomp profile, the second finds it.
            for command in ["create", "create", "run"] {
                let words = [command, "--bundle", path, id];
                let detached = ["run", "--detach", "--bundle", path, id];
                long.push(record(if command == "run" { &detached } else { &words })?);
                runtime.call(&["delete", "--force", id]).ok();
            }
            runtime.create(&bundle).ok();
            short.push(record(&["state", id])?);
            short.push(record(&["start", id])?);
            long.push(record(&["exec", id, "true"])?);
            short.push(record(&["kill", id, "KILL"])?);
            runtime.wait_stopped(id);
            short.push(record(&["delete", id])?);
        }
        long.push(record(&["list"])?);
        long.push(record(&["features"])?);
    }
    short.append(&mut long);
    Ok(short)
}

/// With all GPUs, and a seccomp profile with all that docker's has: architectures, arguments, and errors.
fn docker() -> Spec {
    let namespaces = 0x7e02_0000;
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": [
            {"names": ["acct", "bpf", "kexec_load", "reboot", "swapon"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["personality"], "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 0, "value": 0xffff, "op": "SCMP_CMP_EQ"}]},
            {"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1,
                "args": [{"index": 0, "value": namespaces, "valueTwo": namespaces, "op": "SCMP_CMP_MASKED_EQ"}]},
        ],
    });
    Spec::docker()
        .set("/linux/seccomp", profile)
        .env("AMD_VISIBLE_DEVICES=all")
}
