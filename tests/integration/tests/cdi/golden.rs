//! What `amd-ctk` prints on five hosts, word for word.
//!
//! The expected outputs are files in `golden/<host>/`; what goes to standard error, and an exit
//! code other than 0, follows the output. With `UPDATE_GOLDEN=1` in the environment the tests
//! write them instead; `git diff` then shows what changed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use integration::host::SimulatedHost;
use integration::outcome::Outcome;
use serde_json::Value;

use crate::fixture::{ctk, host};

/// The commands on GPUs, CDI and the tracker, and the names of their files.
const COMMANDS: [(&str, &[&str]); 28] = [
    ("gpu-list.txt", &["gpu", "list"]),
    ("gpu-list.json", &["gpu", "list", "--format", "json"]),
    ("gpu-list.yaml", &["gpu", "list", "--format", "yaml"]),
    ("gpu-show.txt", &["gpu", "show", "0-1"]),
    ("gpu-show.json", &["gpu", "show", "1", "--format", "json"]),
    ("gpu-show.yaml", &["gpu", "show", "1", "--format", "yaml"]),
    ("cdi-list.txt", &["cdi", "list"]),
    ("cdi-list.json", &["cdi", "list", "--format", "json"]),
    ("cdi-list.yaml", &["cdi", "list", "--format", "yaml"]),
    // Before there is a spec.
    ("cdi-validate-none.txt", &["cdi", "validate"]),
    ("doctor-no-spec.json", &["doctor", "--format", "json"]),
    ("cdi-generate.json", &["cdi", "generate", "--output", "-"]),
    (
        "cdi-generate.yaml",
        &[
            "cdi",
            "generate",
            "--output=-",
            "--format=yaml",
            "--device-name-strategy=index,uuid,pci",
            "--additional-gids",
        ],
    ),
    ("cdi-generate.txt", &["cdi", "generate"]),
    ("cdi-generate-again.txt", &["cdi", "generate"]),
    ("cdi-validate.txt", &["cdi", "validate"]),
    (
        "cdi-validate.json",
        &["cdi", "validate", "--format", "json"],
    ),
    (
        "cdi-list-specs.txt",
        &["cdi", "list", "--spec-dir", "/etc/cdi"],
    ),
    ("doctor.json", &["doctor", "--format", "json"]),
    ("version.txt", &["version"]),
    ("tracker-status-off.txt", &["gpu-tracker", "status"]),
    ("tracker-enable.txt", &["gpu-tracker", "enable"]),
    ("tracker-exclusive.txt", &["gpu-tracker", "0", "exclusive"]),
    ("tracker-status.txt", &["gpu-tracker", "status"]),
    (
        "tracker-status.json",
        &["gpu-tracker", "status", "--format", "json"],
    ),
    ("tracker-shared.txt", &["gpu-tracker", "all", "shared"]),
    ("tracker-reset.txt", &["gpu-tracker", "reset"]),
    ("tracker-disable.txt", &["gpu-tracker", "disable"]),
];

/// The checks of `doctor` whose result does not depend on the machine that simulates the host.
const CHECKS: [&str; 6] = ["gpu", "amdgpu", "bound", "vfio", "kfd", "cdi-spec"];

/// Output, and where they say anything, standard error and exit code.
fn told(outcome: &Outcome) -> String {
    let mut told = outcome
        .stdout
        .replace(env!("CARGO_PKG_VERSION"), "<version>");
    if !outcome.stderr.is_empty() {
        told += &format!("--- standard error\n{}", outcome.stderr);
    }
    if outcome.code != 0 {
        told += &format!("--- exit code {}\n", outcome.code);
    }
    told
}

/// What `doctor --format json` printed of [`CHECKS`]; whether the host is healthy, and the
/// error that follows from it, depend on the other checks as well.
fn diagnosis(outcome: &Outcome) -> String {
    let diagnosis: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let checks: Vec<&Value> = diagnosis["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| CHECKS.contains(&check["name"].as_str().unwrap()))
        .collect();
    serde_json::to_string_pretty(&checks).unwrap() + "\n"
}

#[track_caller]
fn assert_told(dir: &str, name: &str, told: &str) {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cdi/golden")
        .join(dir)
        .join(name);
    if env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, told).unwrap();
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(told, expected, "{}", file.display());
}

#[track_caller]
fn assert_golden(preset: &str) {
    let Some(host) = host(preset) else { return };
    for (name, words) in COMMANDS {
        let outcome = ctk(&host, words);
        let told = if name.starts_with("doctor") {
            diagnosis(&outcome)
        } else {
            told(&outcome)
        };
        assert_told(preset, name, &told);
    }
}

#[test]
fn a_server_of_eight_accelerators() {
    assert_golden("mi300x-8");
}

#[test]
fn an_accelerator_in_two_partitions() {
    assert_golden("mi300x-1-dpx");
}

#[test]
fn a_workstation_of_several_makes() {
    assert_golden("mixed");
}

#[test]
fn a_processor_with_graphics() {
    assert_golden("apu");
}

#[test]
fn a_host_without_an_amd_gpu() {
    assert_golden("none");
}

/// Configurations as their users may have them.
const CONFIGURATIONS: [(&str, &str); 3] = [
    (
        "/etc/docker/daemon.json",
        "{\n    \"log-driver\": \"journald\",\n    \"runtimes\": {\n        \"nvidia\": {\"path\": \
         \"nvidia-container-runtime\"}\n    }\n}\n",
    ),
    (
        "/etc/containerd/config.toml",
        "version = 2\n\n# As kubeadm wants it.\n\
         [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc]\n  \
         runtime_type = \"io.containerd.runc.v2\"\n  \
         [plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n    \
         SystemdCgroup = true\n",
    ),
    (
        "/etc/crio/crio.conf",
        "[crio.runtime]\ndefault_runtime = \"crun\"\n\n[crio.runtime.runtimes.crun]\n\
         runtime_root = \"/run/crun\"\n",
    ),
];

const ENGINES: [&str; 4] = ["docker", "containerd", "crio", "podman"];
const PROGRAM: &str = "/opt/amd/amd-container-runtime";

/// A root for `--host-root` with [`CONFIGURATIONS`] and [`PROGRAM`].
const ENGINE_ROOT: &str = "/run/host-root";

fn configure_engines(host: &SimulatedHost) {
    host.inside(|| {
        for (path, text) in CONFIGURATIONS.into_iter().chain([(PROGRAM, "")]) {
            let path = format!("{ENGINE_ROOT}{path}");
            fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let program = format!("{ENGINE_ROOT}{PROGRAM}");
        fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    })
    .unwrap();
}

#[test]
fn what_configure_changes_in_the_files_of_each_engine() {
    let Some(host) = host("none") else { return };
    configure_engines(&host);
    for engine in ENGINES {
        let configure = [
            "--host-root",
            ENGINE_ROOT,
            "runtime",
            "configure",
            "--runtime",
            engine,
            "--runtime-path",
            PROGRAM,
        ];
        let told = |more: &[&str]| told(&ctk(&host, &[&configure, more].concat()));
        let all = ["--set-as-default", "--enable-cdi"];
        let diff = told(&[&all[..], &["--dry-run"]].concat());
        assert_told("engines", &format!("{engine}.diff"), &diff);
        let words = [told(&all), told(&all), told(&["--remove"])].concat();
        assert_told("engines", &format!("{engine}.txt"), &words);
    }
}

/// Without the checksums of the files, in which the program's path is.
fn without_sums(text: &str) -> String {
    let line = |line: &str| match line.split_once("Written by amd-ctk (") {
        Some((before, after)) => format!("{before}Written by amd-ctk (<sum>{}\n", &after[8..]),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn the_files_that_set_up_a_host() {
    let Some(host) = host("none") else { return };
    let program = crate::fixture::program();
    for what in ["udev-rules", "load-module", "cdi-refresh"] {
        let printed = ctk(&host, &["system", what, "--print"]);
        let told = told(&printed).replace(program.to_str().unwrap(), "<amd-ctk>");
        assert_told("system", &format!("{what}.txt"), &without_sums(&told));
    }
}
