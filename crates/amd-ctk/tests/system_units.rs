//! That systemd and udev understand what `amd-ctk system` writes

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::Host;

/// A host with everything that `amd-ctk system` writes.
fn set_up() -> Host {
    let host = Host::bare();
    for command in ["udev-rules", "load-module", "cdi-refresh"] {
        let run = host.amd_ctk(&["system", command, "--files-only"]);
        assert_eq!(run.code, Some(0), "{}", run.stderr);
    }
    host
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.is_file()).collect()
}

/// What a program says of the files; None, with a line that says so, where there is no program.
fn judged(program: &str, args: &[&str], files: &[PathBuf]) -> Option<(bool, String)> {
    let Ok(output) = Command::new(program).args(args).args(files).output() else {
        eprintln!("skipped: no {program} here");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

#[test]
fn systemd_finds_no_fault_in_the_units() {
    let host = set_up();
    let dir = host.path().join("etc/systemd/system");
    // The program that a unit runs must be there, and one of a template needs a name
    // (without a colon, which `verify` reads otherwise).
    for unit in files(&dir) {
        let text = fs::read_to_string(&unit).unwrap();
        let text = text.replace("/usr/bin/amd-ctk", env!("CARGO_BIN_EXE_amd-ctk"));
        let text = text.replace("/usr/bin/systemctl", "/bin/true");
        fs::write(&unit, text).unwrap();
    }
    fs::rename(
        dir.join("amd-cdi-refresh@.path"),
        dir.join("amd-cdi-refresh@gpu.path"),
    )
    .unwrap();
    let units = files(&dir);
    assert_eq!(units.len(), 4);
    let Some(found) = judged("systemd-analyze", &["verify", "--man=no"], &units) else {
        return;
    };
    // Of other units of this machine it may have something to say.
    let faults = |said: &str| said.lines().filter(|it| it.contains("amd-cdi")).count();
    assert!(found.0 && faults(&found.1) == 0, "{}", found.1);
    // It does find faults.
    let service = dir.join("amd-cdi-refresh.service");
    let text = fs::read_to_string(&service).unwrap();
    fs::write(&service, text.replace("Type=oneshot", "Type=once")).unwrap();
    let (_, said) = judged("systemd-analyze", &["verify", "--man=no"], &units).unwrap();
    assert!(faults(&said) > 0, "{said}");
}

#[test]
fn udev_finds_no_fault_in_the_rules() {
    let host = set_up();
    let rules = files(&host.path().join("etc/udev/rules.d"));
    assert_eq!(rules.len(), 2);
    let version = judged("udevadm", &["--version"], &[]);
    let version = version.map(|(_, said)| said.trim().parse().unwrap_or(0));
    if version.unwrap_or(0) < 254 {
        eprintln!("skipped: no udevadm here that can verify rules");
        return;
    }
    let args = ["verify", "--resolve-names=never"];
    let (good, said) = judged("udevadm", &args, &rules).unwrap();
    assert!(good, "{said}");
    fs::write(&rules[0], "KERNEL==\"kfd\", MOED=\"0660\"\n").unwrap();
    assert!(!judged("udevadm", &args, &rules).unwrap().0);
}
