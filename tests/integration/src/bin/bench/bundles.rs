//! The bundles that are run.
//!
//! Every runtime gets the same effective spec: with GPUs, ours is asked for them by
//! AMD_VISIBLE_DEVICES, and the others find the same nodes and rules written in the spec,
//! so that only the way there differs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use integration::bundle::Bundle;
use integration::docker::{Docker, PROGRAMS};
use integration::host::{Cgroups, Host, SimulatedHost};
use integration::require;
use integration::spec::Spec;
use serde_json::{Value, json};

use crate::runner::Runner;
use crate::runtimes::Runtime;

/// Eight boards of eight partitions.
pub const PRESET: &str = "mi300x-8-cpx";

/// What a bundle is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Mount and PID namespaces, /proc and /dev.
    Minimal,
    /// What docker gives a container that is not privileged: its namespaces, mounts,
    /// capabilities, device rules, masked paths and its seccomp profile.
    Docker,
}

impl Kind {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Docker => "docker",
        }
    }
}

/// Makes the specs of bundles.
#[derive(Clone, Debug)]
pub struct Specs {
    seccomp: Option<Value>,
}

impl Specs {
    /// With the seccomp profile of this machine's docker, where it has one.
    ///
    /// # Errors
    /// Where docker starts no container.
    pub fn new(ours: &Runtime) -> Result<Self> {
        let docker = PROGRAMS.iter().all(|name| require::find(name).is_some());
        if !docker {
            eprintln!("docker is not installed: the docker-like bundle has no seccomp profile");
            return Ok(Self { seccomp: None });
        }
        let profile = docker_profile(Path::new(&ours.program))?;
        Ok(Self {
            seccomp: Some(profile),
        })
    }

    /// The number of system calls that docker's profile names; 0 without one.
    pub fn system_calls(&self) -> usize {
        let rules = self.seccomp.as_ref().and_then(|s| s["syscalls"].as_array());
        let names = rules
            .into_iter()
            .flatten()
            .filter_map(|r| r["names"].as_array());
        names.map(Vec::len).sum()
    }

    /// A spec that asks for the first `gpus` GPUs.
    pub fn spec(&self, kind: Kind, gpus: usize) -> Spec {
        let spec = match kind {
            Kind::Minimal => Spec::minimal().push("/mounts", dev()),
            Kind::Docker => match &self.seccomp {
                None => Spec::docker(),
                Some(profile) => Spec::docker().set("/linux/seccomp", profile.clone()),
            },
        };
        let spec = spec.args(&["sleep", "100000"]);
        match gpus {
            0 => spec,
            n => spec.env(&format!("AMD_VISIBLE_DEVICES=0-{}", n - 1)),
        }
    }
}

fn dev() -> Value {
    json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
        "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]})
}

/// A spec with the devices and rules of another, which has them from our runtime.
pub fn with_devices(spec: Spec, effective: &Value) -> Spec {
    spec.set("/linux/devices", effective["linux"]["devices"].clone())
        .set("/linux/resources", effective["linux"]["resources"].clone())
}

/// The spec that our runtime makes of a bundle's, read from its state.
///
/// # Errors
/// Where it cannot be run, or keeps none.
pub fn effective_spec(
    host: &SimulatedHost,
    runner: &mut Runner,
    ours: &Runtime,
    bundle: &str,
) -> Result<Value> {
    let root = "/run/bench/effective";
    runner.run(&ours.line(root, &["create", "--bundle", bundle, "effective"]))?;
    let path = Path::new(root).join("effective/spec.json");
    let spec = host
        .inside(|| fs::read(&path))?
        .with_context(|| format!("cannot read {}", path.display()))?;
    runner.run(&ours.line(root, &["delete", "--force", "effective"]))?;
    let spec: Value = serde_json::from_slice(&spec)?;
    ensure!(
        spec["linux"]["devices"].is_array(),
        "no devices in the effective spec"
    );
    Ok(spec)
}

/// Writes a bundle's config.json for a root filesystem that is there.
///
/// # Errors
/// Where it cannot be written.
pub fn write(host: &SimulatedHost, id: &str, rootfs: &Path, spec: Spec) -> Result<String> {
    let dir = format!("/run/bundles/{id}");
    let spec = spec
        .set("/root/path", json!(rootfs))
        .cgroups_path(&format!("{}/{id}", host.cgroup()));
    host.inside(|| -> Result<()> {
        fs::create_dir_all(&dir)?;
        let config = serde_json::to_vec(spec.json())?;
        fs::write(Path::new(&dir).join("config.json"), config).context("cannot write config.json")
    })??;
    Ok(dir)
}

/// A root filesystem for [`write()`].
pub fn rootfs(host: &SimulatedHost) -> PathBuf {
    Bundle::new(host, "rootfs", Spec::minimal()).in_rootfs("/")
}

/// The profile that docker writes into the spec of a container that is not privileged.
fn docker_profile(runtime: &Path) -> Result<Value> {
    let machine = Host::preset("none").context("no such preset")?;
    let cgroups = if require::cgroup_v1() {
        Cgroups::V1
    } else {
        Cgroups::V2
    };
    let host = SimulatedHost::start(&machine, cgroups)?;
    let docker = Docker::start(&host, runtime);
    let run = docker.run(&["--detach"], &["sleep", "1000"]);
    ensure!(run.code == 0, "{run}");
    let bundle = Path::new("/run/docker-exec/containerd/daemon/io.containerd.runtime.v2.task/moby")
        .join(run.stdout.trim());
    let config = host
        .inside(|| fs::read(bundle.join("config.json")))?
        .context("cannot read the config.json that docker wrote")?;
    let spec: Value = serde_json::from_slice(&config)?;
    let profile = spec["linux"]["seccomp"].clone();
    ensure!(profile.is_object(), "docker wrote no seccomp profile");
    docker.call(&["rm", "--force", run.stdout.trim()]).ok();
    Ok(profile)
}
