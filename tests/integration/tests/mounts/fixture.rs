//! Containers of which the mounts are looked at.

use std::fs;
use std::path::Path;

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use nix::mount::{MsFlags, mount};
use serde_json::json;

/// A directory of the host, for sources of mounts.
pub const SOURCE: &str = "/run/source";

pub fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, Cgroups::V1)
}

/// Adds a mount with options that are separated by commas.
pub fn with_mount(spec: Spec, kind: &str, source: &str, destination: &str, options: &str) -> Spec {
    let options: Vec<_> = options.split(',').filter(|o| !o.is_empty()).collect();
    spec.push(
        "/mounts",
        json!({"type": kind, "source": source, "destination": destination, "options": options}),
    )
}

/// Adds a bind mount of [`SOURCE`].
pub fn with_bind(spec: Spec, destination: &str, options: &str) -> Spec {
    with_mount(spec, "bind", SOURCE, destination, options)
}

/// Works in the host's namespaces; what fails there ends the test.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
pub fn inside<T: Send>(
    host: &SimulatedHost,
    work: impl FnOnce() -> std::io::Result<T> + Send,
) -> T {
    host.inside(work).unwrap().unwrap()
}

/// Mounts a tmpfs on the host, at a directory that is made.
pub fn tmpfs_at(path: &str, flags: MsFlags) -> std::io::Result<()> {
    fs::create_dir_all(path)?;
    Ok(mount(
        Some("tmpfs"),
        path,
        Some("tmpfs"),
        flags,
        None::<&str>,
    )?)
}

/// What a container with this script prints.
#[track_caller]
pub fn run(host: &SimulatedHost, spec: Spec, script: &str) -> String {
    let bundle = Bundle::new(host, "c", spec.sh(script));
    Runtime::under_test(host).run(&bundle).ok()
}

/// What the runtime says of a container that it refuses.
#[track_caller]
pub fn refused(host: &SimulatedHost, spec: Spec) -> String {
    let bundle = Bundle::new(host, "c", spec);
    Runtime::under_test(host).run(&bundle).fails(1)
}

/// A line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountLine {
    pub device: String,
    pub point: String,
    /// Options of the mount.
    pub options: String,
    /// Fields such as `shared:1` and `master:1`, without their numbers.
    pub propagation: String,
    pub kind: String,
    /// Options of the file system.
    pub data: String,
}

/// The mounts of a container, the topmost of each mount point.
#[derive(Debug)]
pub struct MountTable(Vec<MountLine>);

impl MountTable {
    /// The mounts that a container of `spec` sees.
    #[track_caller]
    pub fn of(host: &SimulatedHost, spec: Spec) -> Self {
        Self::parse(&run(host, spec, "cat /proc/self/mountinfo"))
    }

    pub fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(line).collect())
    }

    #[track_caller]
    #[allow(clippy::unwrap_used, reason = "a test stands on it")]
    pub fn at(&self, point: &str) -> &MountLine {
        let found = self.0.iter().rev().find(|line| line.point == point);
        found
            .ok_or_else(|| format!("no mount at {point}: {self:#?}"))
            .unwrap()
    }
}

/// Checks what becomes of [`SOURCE`] when it is mounted with each of these options: all in
/// one container.
#[track_caller]
pub fn assert_binds(
    host: &SimulatedHost,
    cases: &[(&str, &str)],
    seen: impl Fn(&MountLine) -> &str,
) {
    let point = |i: usize| format!("/mnt/{i}");
    let spec = (0..)
        .zip(cases)
        .fold(Spec::minimal(), |spec, (i, (options, _))| {
            with_bind(spec, &point(i), options)
        });
    let table = MountTable::of(host, spec);
    for (i, (options, expected)) in (0..).zip(cases) {
        assert_eq!(seen(table.at(&point(i))), *expected, "{options}");
    }
}

fn line(text: &str) -> Option<MountLine> {
    let fields: Vec<_> = text.split(' ').collect();
    let dash = fields.iter().position(|&field| field == "-")?;
    let propagation = fields[6..dash].iter().filter_map(|f| f.split(':').next());
    Some(MountLine {
        device: fields[2].into(),
        point: fields[4].into(),
        options: fields[5].into(),
        propagation: propagation.collect::<Vec<_>>().join(","),
        kind: fields[dash + 1].into(),
        data: (*fields.get(dash + 3)?).into(),
    })
}

/// Writes files into a bundle's root filesystem, before the container is made.
pub fn prepare(
    host: &SimulatedHost,
    bundle: &Bundle<'_>,
    work: impl FnOnce(&Path) -> std::io::Result<()> + Send,
) {
    let rootfs = bundle.in_rootfs("/");
    inside(host, || work(&rootfs));
}
