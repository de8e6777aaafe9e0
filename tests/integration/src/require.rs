//! What a test needs of the machine. Where it is missing the test is skipped, in so many
//! words; in CI, and wherever `AMD_TEST_REQUIRE=1` is set, it fails.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::capabilities;
use crate::host::{Cgroups, Host, SimulatedHost};

/// A simulated host of a preset, where the machine can have one. A test that looks into hierarchies
/// of cgroup v1 asks [`cgroup_v1`], too.
///
/// # Panics
/// When there is no such preset, or the host does not start.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
pub fn host(preset: &str, cgroups: Cgroups) -> Option<SimulatedHost> {
    let machine = Host::preset(preset).unwrap();
    let can = root() && programs(&["busybox"]);
    can.then(|| SimulatedHost::start(&machine, cgroups).unwrap())
}

/// As [`host`], and none with v1 where the machine has none: for what is tested on each of the two.
///
/// # Panics
/// As [`host`].
#[track_caller]
pub fn host_with(preset: &str, cgroups: Cgroups) -> Option<SimulatedHost> {
    let can = cgroups == Cgroups::V2 || cgroup_v1();
    can.then(|| host(preset, cgroups)).flatten()
}

/// A simulated host on cgroup v2, where the machine's controllers are on v2: beside v1 it has none.
/// Such a machine is skipped in CI, too.
///
/// # Panics
/// As [`host`].
#[track_caller]
pub fn host_with_unified_controllers(preset: &str) -> Option<SimulatedHost> {
    let path = "/sys/fs/cgroup/cgroup.controllers";
    let controllers = fs::read_to_string(path).unwrap_or_default();
    if !controllers.split_whitespace().any(|name| name == "memory") {
        eprintln!("skipped: needs a machine with the controllers of cgroup v2");
        return None;
    }
    host(preset, Cgroups::V2)
}

/// Whether the effective user is root, as simulated hosts need.
#[track_caller]
pub fn root() -> bool {
    met(nix::unistd::geteuid().is_root(), "needs root")
}

/// Whether all of `programs` are installed.
#[track_caller]
pub fn programs(programs: &[&str]) -> bool {
    programs
        .iter()
        .all(|name| met(find(name).is_some(), &format!("needs the program {name}")))
}

/// Whether the machine has cgroup v1 hierarchies with a device controller. A machine that
/// has cgroup v2 alone cannot have them: the test is skipped in CI too.
pub fn cgroup_v1() -> bool {
    let met = Path::new("/sys/fs/cgroup/devices").is_dir();
    if !met {
        eprintln!("skipped: needs cgroup v1, and this machine has v2 alone");
    }
    met
}

/// Whether root has every capability, as docker's privileged containers need. Where it has
/// not, the test is skipped in CI too.
pub fn all_capabilities() -> bool {
    let met = capabilities::all_held();
    if !met {
        eprintln!("skipped: needs all capabilities, of which this machine's root lacks some");
    }
    met
}

/// The path of a program: from PATH, or from where administrators' programs are.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| fs::metadata(file).is_ok_and(|meta| meta.is_file()))
}

#[track_caller]
#[allow(clippy::panic, reason = "a test that must run and cannot fails")]
fn met(met: bool, what: &str) -> bool {
    if !met {
        let required = env::var_os("CI").is_some_and(|v| v == "true")
            || env::var_os("AMD_TEST_REQUIRE").is_some_and(|v| v == "1");
        if required {
            panic!("{what}");
        }
        eprintln!("skipped: {what}");
    }
    met
}

/// Debian 12's runc, where it is installed. What others make of a row is not written down.
pub fn runc_1_1() -> Option<PathBuf> {
    if !programs(&["runc"]) {
        return None;
    }
    let program = find("runc")?;
    let version = Command::new(&program).arg("--version").output().ok()?;
    let is_1_1 = version.stdout.starts_with(b"runc version 1.1.");
    if !is_1_1 {
        eprintln!("skipped: the comparison needs runc 1.1, and another is installed");
    }
    is_1_1.then_some(program)
}
