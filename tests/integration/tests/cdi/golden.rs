//! What the listings print on three hosts, word for word.
//!
//! The expected outputs are files in `golden/<host>/`. With `UPDATE_GOLDEN=1` in the
//! environment the tests write them instead; `git diff` then shows what changed.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::env;
use std::fs;
use std::path::PathBuf;

use crate::fixture::{ctk, host};

/// The commands, and the names of their files.
const COMMANDS: [(&str, &[&str]); 13] = [
    ("gpu-list.txt", &["gpu", "list"]),
    ("gpu-list.json", &["gpu", "list", "--format", "json"]),
    ("gpu-list.yaml", &["gpu", "list", "--format", "yaml"]),
    ("gpu-show.txt", &["gpu", "show", "0-1"]),
    ("gpu-show.json", &["gpu", "show", "1", "--format", "json"]),
    ("gpu-show.yaml", &["gpu", "show", "1", "--format", "yaml"]),
    ("cdi-list.txt", &["cdi", "list"]),
    ("cdi-list.json", &["cdi", "list", "--format", "json"]),
    ("cdi-list.yaml", &["cdi", "list", "--format", "yaml"]),
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
    ("cdi-validate.txt", &["cdi", "validate"]),
];

#[track_caller]
fn assert_golden(preset: &str) {
    let Some(host) = host(preset) else { return };
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cdi/golden")
        .join(preset);
    let update = env::var_os("UPDATE_GOLDEN").is_some();
    if update {
        fs::create_dir_all(&dir).unwrap();
    }
    for (name, words) in COMMANDS {
        let printed = ctk(&host, words).ok();
        let file = dir.join(name);
        if update {
            fs::write(&file, &printed).unwrap();
        }
        let expected = fs::read_to_string(&file).unwrap();
        assert_eq!(
            printed,
            expected,
            "{}: amd-ctk {}",
            file.display(),
            words.join(" ")
        );
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
