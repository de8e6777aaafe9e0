//! Which package of the workspace may use which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The packages of this workspace that a package uses, by way of others too. What its tests
/// alone use does not count.
#[track_caller]
fn uses(package: &str) -> BTreeSet<String> {
    let direct = direct();
    assert!(
        direct.contains_key(package),
        "no package is called {package}: {direct:?}"
    );
    let mut found = BTreeSet::new();
    let mut open = vec![package];
    while let Some(name) = open.pop() {
        for used in &direct[name] {
            if found.insert(used.clone()) {
                open.push(used);
            }
        }
    }
    found
}

/// What cargo prints.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "cargo runs these tests")]
fn cargo(args: &[&str]) -> Vec<u8> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// The packages of this workspace, each with those that it names as a dependency.
#[allow(clippy::unwrap_used, reason = "what cargo prints")]
fn direct() -> BTreeMap<String, BTreeSet<String>> {
    let output = cargo(&[
        "metadata",
        "--no-deps",
        "--offline",
        "--format-version",
        "1",
    ]);
    let metadata: Value = serde_json::from_slice(&output).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let names: BTreeSet<String> = packages.iter().map(name).collect();
    let of = |package: &Value| {
        let dependencies = package["dependencies"].as_array().unwrap();
        let used = dependencies
            .iter()
            .filter(|it| it["kind"] != "dev")
            .map(name);
        used.filter(|used| names.contains(used)).collect()
    };
    packages
        .iter()
        .map(|package| (name(package), of(package)))
        .collect()
}

#[test]
fn discovery_uses_no_package_of_ours() {
    assert_eq!(uses("discovery"), BTreeSet::new());
}

#[test]
fn host_state_uses_no_package_of_ours() {
    assert_eq!(uses("host-state"), BTreeSet::new());
}

#[test]
fn the_tracker_uses_discovery_and_neither_program() {
    let expected = ["discovery", "host-state"].map(str::to_owned);
    assert_eq!(uses("gpu-tracker"), expected.into());
}

#[test]
fn the_runtime_uses_discovery_and_the_tracker() {
    let used = uses("amd-runtime");
    assert!(used.contains("discovery") && used.contains("gpu-tracker"));
}

#[test]
fn the_runtime_does_not_use_the_cli() {
    assert!(!uses("amd-runtime").contains("amd-ctk"));
}

#[test]
fn the_cli_uses_discovery() {
    assert!(uses("amd-ctk").contains("discovery"));
}

#[test]
fn the_cli_does_not_use_the_runtime() {
    assert!(!uses("amd-ctk").contains("amd-runtime"));
}

#[test]
fn a_program_that_embeds_the_runtime_can_do_without_its_command_line() {
    let tree = |features: &[&str]| {
        let tree = [
            "tree",
            "--offline",
            "--package",
            "amd-runtime",
            "--edges",
            "normal",
        ];
        let output = cargo(
            &[
                &tree[..],
                &["--prefix", "none", "--format", "{p}"],
                features,
            ]
            .concat(),
        );
        let text = String::from_utf8_lossy(&output).into_owned();
        text.lines().any(|line| line.starts_with("clap "))
    };
    assert!(tree(&[]));
    assert!(!tree(&["--no-default-features"]));
}

#[test]
fn the_manual_is_no_part_of_a_program() {
    for package in ["discovery", "amd-runtime", "amd-ctk"] {
        assert!(!uses(package).contains("manual"), "{package}");
    }
}

#[test]
fn no_package_uses_the_tests() {
    for package in [
        "discovery",
        "gpu-tracker",
        "amd-runtime",
        "amd-ctk",
        "manual",
    ] {
        assert!(!uses(package).contains("integration"), "{package}");
    }
}

/// Under musl std takes `O_PATH` out of custom flags, and opens the file: `amd_runtime::path_fd`.
#[test]
fn no_source_asks_std_for_o_path() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates");
    let mut found = Vec::new();
    let mut open = vec![crates];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let source = fs::read_to_string(&path).unwrap_or_default();
                // nix and rustix have names of their own for it.
                if source.contains("libc::O_PATH") {
                    found.push(path);
                }
            }
        }
    }
    assert_eq!(found, Vec::<PathBuf>::new());
}
