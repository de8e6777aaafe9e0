//! `amd-ctk system` on a host that runs: what is told, and that the service does its work. Of
//! systemd, udev and modprobe there are programs that write down how they were called.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use integration::binary::ours;
use integration::host::{Cgroups, SimulatedHost};
use integration::outcome::Outcome;
use integration::{mi300x, require};

const PROGRAMS: &str = "/run/programs";
const CALLS: &str = "/run/calls";
const RULE: &str = "/etc/udev/rules.d/71-amd-gpu-nodes.rules";
const SERVICE: &str = "/etc/systemd/system/amd-cdi-refresh.service";

/// A host with systemd and udev, and a group render.
fn host(preset: &str) -> Option<SimulatedHost> {
    let host = require::host(preset, Cgroups::V1)?;
    host.inside(|| {
        for dir in ["/run/systemd/system", "/run/udev/control", PROGRAMS] {
            fs::create_dir_all(dir).unwrap();
        }
        for name in ["systemctl", "udevadm", "modprobe"] {
            program(name, &format!("echo {name} \"$*\" >>{CALLS}"));
        }
        fs::write("/etc/group", "root:x:0:\nrender:x:109:\n").unwrap();
    })
    .unwrap();
    Some(host)
}

fn program(name: &str, script: &str) {
    let path = Path::new(PROGRAMS).join(name);
    fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn amd_ctk(host: &SimulatedHost, words: &[&str]) -> Outcome {
    let mut command = Command::new(ours("amd-ctk", "amd-ctk").unwrap());
    command
        .env("PATH", format!("{PROGRAMS}:/usr/bin:/bin"))
        .args(words);
    Outcome::of(host, &mut command).unwrap()
}

/// How the programs were called since this was asked last.
fn calls(host: &SimulatedHost) -> Vec<String> {
    host.inside(|| {
        let calls = fs::read_to_string(CALLS).unwrap_or_default();
        let _ = fs::remove_file(CALLS);
        calls.lines().map(str::to_owned).collect()
    })
    .unwrap()
}

fn is_there(host: &SimulatedHost, path: &str) -> bool {
    host.inside(|| Path::new(path).exists()).unwrap()
}

#[test]
fn udev_is_told_of_the_rule_and_of_its_end_and_only_then() {
    let Some(host) = host(mi300x::PRESET) else {
        return;
    };
    let told = [
        "udevadm control --reload",
        "udevadm trigger --subsystem-match=kfd --subsystem-match=drm",
    ];
    let said = amd_ctk(&host, &["system", "udev-rules"]).ok();
    assert_eq!(
        said,
        format!("wrote {RULE}\nran {}\nran {}\n", told[0], told[1])
    );
    assert_eq!(calls(&host), told);
    let said = amd_ctk(&host, &["system", "udev-rules"]).ok();
    assert_eq!(said, "nothing to change\n");
    assert!(calls(&host).is_empty());
    amd_ctk(&host, &["system", "udev-rules", "--remove"]).ok();
    assert_eq!(calls(&host), told);
    assert!(!is_there(&host, RULE));
}

#[test]
fn systemd_and_udev_are_told_of_the_refresh() {
    let Some(host) = host(mi300x::PRESET) else {
        return;
    };
    amd_ctk(&host, &["system", "cdi-refresh"]).ok();
    assert_eq!(
        calls(&host),
        [
            "systemctl daemon-reload",
            "udevadm control --reload",
            "udevadm trigger --subsystem-match=drm",
            "systemctl start amd-cdi-refresh.service",
        ]
    );
    amd_ctk(&host, &["system", "cdi-refresh"]).ok();
    assert!(calls(&host).is_empty());
    amd_ctk(&host, &["system", "cdi-refresh", "--remove"]).ok();
    assert_eq!(
        calls(&host),
        [
            "systemctl stop amd-cdi-refresh*",
            "systemctl daemon-reload",
            "udevadm control --reload",
        ]
    );
}

#[test]
fn nobody_is_told_of_files_only_and_of_a_dry_run() {
    let Some(host) = host(mi300x::PRESET) else {
        return;
    };
    for command in ["udev-rules", "load-module", "cdi-refresh"] {
        for option in ["--dry-run", "--print", "--files-only"] {
            amd_ctk(&host, &["system", command, option]).ok();
        }
    }
    assert!(calls(&host).is_empty());
}

#[test]
fn the_driver_is_loaded_where_it_is_not() {
    let Some(host) = host(mi300x::PRESET) else {
        return;
    };
    amd_ctk(&host, &["system", "load-module"]).ok();
    assert!(calls(&host).is_empty());
    // The file is there already, and the driver is gone.
    host.inside(|| fs::rename("/sys/bus/pci/drivers/amdgpu", "/sys/bus/pci/drivers/gone"))
        .unwrap()
        .unwrap();
    let said = amd_ctk(&host, &["system", "load-module"]).ok();
    assert_eq!(said, "ran modprobe amdgpu\n");
    assert_eq!(calls(&host), ["modprobe amdgpu"]);
}

#[test]
fn without_a_running_systemd_or_udev_nothing_is_changed() {
    for (sign, name) in [
        ("/run/systemd/system", "systemd"),
        ("/run/udev/control", "udev"),
    ] {
        let Some(host) = host(mi300x::PRESET) else {
            return;
        };
        host.inside(|| fs::remove_dir(sign)).unwrap().unwrap();
        let said = amd_ctk(&host, &["system", "cdi-refresh"]).fails(1);
        assert_eq!(
            said,
            format!(
                "error: {name} does not run here: there is no {sign}\n\
                 hint: --files-only writes the files alone, for the next boot\n"
            )
        );
        assert!(!is_there(&host, SERVICE));
        assert!(calls(&host).is_empty());
    }
}

#[test]
fn a_group_that_does_not_exist_is_an_error() {
    let Some(host) = host(mi300x::PRESET) else {
        return;
    };
    let said = amd_ctk(&host, &["system", "udev-rules", "--group", "gpus"]).fails(1);
    let error = "error: there is no group gpus in /etc/group\nhint: `groupadd --system gpus`";
    assert!(said.starts_with(error), "{said}");
    assert!(!is_there(&host, RULE));
    amd_ctk(&host, &["system", "udev-rules", "--group", "4242"]).ok();
}

#[test]
fn what_is_left_to_do_is_told_where_a_program_fails() {
    let Some(host) = host(mi300x::PRESET) else {
        return;
    };
    host.inside(|| program("udevadm", "echo no control >&2; exit 3"))
        .unwrap();
    let run = amd_ctk(&host, &["system", "cdi-refresh"]);
    assert!(
        run.stdout.ends_with("\nran systemctl daemon-reload\n"),
        "{run}"
    );
    assert_eq!(
        run.fails(1),
        "error: `udevadm control --reload` failed: exit status: 3, no control\n\
         hint: the files are as they should be; what is left is `udevadm control --reload`, \
         `udevadm trigger --subsystem-match=drm`, `systemctl start amd-cdi-refresh.service`\n"
    );
    assert!(is_there(&host, SERVICE));
}

#[test]
fn what_the_service_runs_writes_the_spec_with_the_administrators_options() {
    let Some(host) = host(mi300x::PRESET) else {
        return;
    };
    amd_ctk(&host, &["system", "cdi-refresh", "--files-only"]).ok();
    let service = host
        .inside(|| fs::read_to_string(SERVICE))
        .unwrap()
        .unwrap();
    let start = service.lines().find_map(|it| it.strip_prefix("ExecStart="));
    let mut shell = Command::new("sh");
    shell
        .env("OPTIONS", "--cdi-version=0.5.0 --device-name-strategy=pci")
        .args(["-c", start.unwrap()]);
    let said = Outcome::of(&host, &mut shell).unwrap().ok();
    assert_eq!(
        said,
        "wrote /etc/cdi/amd.json (CDI 0.5.0, 8 GPUs, 9 devices)\n"
    );
    amd_ctk(&host, &["cdi", "validate"]).ok();
}

/// What udev would do of an event; None, with a line that says so, where there is no udev.
fn udev(host: &SimulatedHost, action: &str, device: &str) -> Option<String> {
    let mut command = Command::new("udevadm");
    command
        // The /sys of a simulated host is no sysfs.
        .env("SYSTEMD_DEVICE_VERIFY_SYSFS", "0")
        .args(["test", "--action", action])
        .arg(format!("/sys/class/{device}"));
    let Ok(outcome) = Outcome::of(host, &mut command) else {
        eprintln!("skipped: no udevadm here");
        return None;
    };
    Some([outcome.stdout, outcome.stderr].concat())
}

#[test]
fn udev_gives_the_nodes_that_compute_their_mode_and_group() {
    let Some(host) = host("mi300x-8-cpx") else {
        return;
    };
    amd_ctk(&host, &["system", "udev-rules", "--mode", "0666"]).ok();
    // Of a GPU, of a partition, and of a display.
    for (device, ours) in [
        ("kfd/kfd", true),
        ("drm/renderD128", true),
        ("drm/renderD129", true),
        ("drm/card1", false),
    ] {
        let Some(said) = udev(&host, "add", device) else {
            return;
        };
        for what in ["GROUP 109", "MODE 0666"] {
            let is_set = said
                .lines()
                .any(|line| line.contains("71-amd-gpu-nodes.rules:") && line.ends_with(what));
            assert_eq!(is_set, ours, "{device}: {said}");
        }
    }
}

#[test]
fn udev_asks_for_a_refresh_where_it_is_enabled() {
    let Some(host) = host("mi300x-8-cpx") else {
        return;
    };
    let run = "RUN '/usr/bin/systemctl --no-block restart amd-cdi-refresh.timer'";
    let watch = "SYSTEMD_WANTS=amd-cdi-refresh@0000:05:00.0.path";
    amd_ctk(&host, &["system", "cdi-refresh"]).ok();
    for (action, device, runs, watches) in [
        ("add", "drm/renderD128", true, true),
        ("change", "drm/renderD128", false, true),
        ("add", "drm/renderD129", true, false),
        ("remove", "drm/renderD129", true, false),
        ("add", "drm/card1", false, false),
        ("add", "kfd/kfd", false, false),
    ] {
        let Some(said) = udev(&host, action, device) else {
            return;
        };
        assert_eq!(said.contains(run), runs, "{action} {device}: {said}");
        assert_eq!(said.contains(watch), watches, "{action} {device}: {said}");
    }
    // As `systemctl disable` does it.
    let link = "/etc/systemd/system/multi-user.target.wants/amd-cdi-refresh.service";
    host.inside(|| fs::remove_file(link)).unwrap().unwrap();
    let said = udev(&host, "remove", "drm/renderD128").unwrap();
    assert!(!said.contains(run), "{said}");
}

#[test]
fn doctor_knows_what_the_installed_engines_read() {
    let Some(host) = host(mi300x::PRESET) else {
        return;
    };
    let engines = [
        ("podman", "podman version 4.3.1"),
        ("dockerd", "Docker version 29.2.0, build 1"),
        (
            "containerd",
            "containerd github.com/containerd/containerd/v2 v2.2.1 1",
        ),
    ];
    host.inside(|| engines.map(|(name, says)| program(name, &format!("echo '{says}'"))))
        .unwrap();
    let doctor = || {
        let said = amd_ctk(&host, &["doctor"]).stdout;
        let lines: Vec<String> = said.lines().map(str::to_owned).collect();
        let at = lines.iter().position(|line| line.contains("cdi-engines"));
        lines[at.unwrap()..].join("\n")
    };
    amd_ctk(&host, &["cdi", "generate"]).ok();
    let warning = "warn  cdi-engines       podman 4.3.1 reads CDI up to 0.5.0, and \
                   /etc/cdi/amd.json is of 0.6.0\n";
    assert!(doctor().starts_with(warning), "{}", doctor());
    amd_ctk(&host, &["cdi", "generate", "--cdi-version", "0.5.0"]).ok();
    let passed = "ok    cdi-engines       docker 29.2.0 reads CDI up to 1.1.0, \
                  containerd 2.2.1 reads CDI up to 1.1.0, ";
    assert!(doctor().starts_with(passed), "{}", doctor());
}
