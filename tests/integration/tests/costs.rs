//! What commands cost, in counts that hardly wobble, whatever else the machine does: the
//! instructions that a process executes (by valgrind), and the system calls that it makes
//! (by strace). `costs.tsv` has today's, and a tenth more is a failure: make it cheaper, or
//! say why it has to be so and let `make costs` write what it is now.
//!
//! The programs are development builds, which cost more than releases do, but follow them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stand on it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use integration::binary;
use integration::bundle::Bundle;
use integration::crash;
use integration::host::{Cgroups, SimulatedHost};
use integration::outcome::Outcome;
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;

/// Eight boards of eight partitions.
const PRESET: &str = "mi300x-8-cpx";
const LOG: &str = "/run/valgrind.log";
const TRACE: &str = "/run/strace.log";
/// The variable with which the table is written rather than compared.
const UPDATE: &str = "UPDATE_COSTS";

/// The table: what is counted, of which command, and how many there were.
fn table() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/costs.tsv")
}

fn read_table() -> BTreeMap<String, u64> {
    let text = fs::read_to_string(table()).unwrap_or_default();
    let row = |line: &str| {
        let (what, count) = line.rsplit_once('\t')?;
        Some((what.to_owned(), count.parse().ok()?))
    };
    text.lines().filter_map(row).collect()
}

/// Compares counts with the table's, or puts them there.
#[track_caller]
fn check(kind: &str, counts: &[(&str, u64)]) {
    let mut table_now = read_table();
    if std::env::var_os(UPDATE).is_some() {
        let prefix = format!("{kind}\t");
        table_now.retain(|what, _| !what.starts_with(&prefix));
        table_now.extend(
            counts
                .iter()
                .map(|(what, count)| (format!("{prefix}{what}"), *count)),
        );
        let lines = table_now
            .iter()
            .map(|(what, count)| format!("{what}\t{count}\n"));
        fs::write(table(), lines.collect::<String>()).unwrap();
        return;
    }
    let mut complaints = Vec::new();
    for (what, count) in counts {
        match table_now.get(&format!("{kind}\t{what}")) {
            Some(was) if *count * 10 > was * 11 => {
                complaints.push(format!(
                    "{what}: {count} {kind}, more than a tenth above {was}"
                ));
            }
            Some(was) => println!("{what}: {count} {kind}, {was} in the table"),
            None => complaints.push(format!("{what}: {count} {kind}, and not in the table")),
        }
    }
    let hint = "hint: where it has to be so, `make costs` writes the table anew";
    assert!(complaints.is_empty(), "{}\n{hint}", complaints.join("\n"));
}

/// The instructions of a program, not those of others that it starts. The environment has
/// no part in it.
#[track_caller]
fn instructions(host: &SimulatedHost, program: &Command) -> u64 {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--log-file={LOG}"))
        .arg(program.get_program())
        .args(program.get_args())
        .env_clear()
        .env("PATH", "/usr/bin:/bin");
    Outcome::of(host, &mut valgrind).unwrap().ok();
    let log = host.inside(|| fs::read_to_string(LOG)).unwrap().unwrap();
    let collected = log.lines().find_map(|line| line.split_once("Collected : "));
    let (_, count) = collected.unwrap_or_else(|| panic!("no count in:\n{log}"));
    count.trim().parse().unwrap()
}

fn docker_like<'h>(host: &'h SimulatedHost, id: &str, gpus: usize, args: &[&str]) -> Bundle<'h> {
    let spec = Spec::docker().args(args);
    let spec = match gpus {
        0 => spec,
        n => spec.env(&format!("AMD_VISIBLE_DEVICES=0-{}", n - 1)),
    };
    Bundle::new(host, id, spec)
}

/// The system calls of a program and of all that it starts, until the last of them ends.
#[track_caller]
fn all_system_calls(host: &SimulatedHost, program: &Command) -> u64 {
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-o", TRACE])
        .arg(program.get_program())
        .args(program.get_args());
    Outcome::of(host, &mut strace).unwrap().ok();
    let trace = host.inside(|| fs::read_to_string(TRACE)).unwrap().unwrap();
    // As `17 openat(AT_FDCWD, ...`; not signals, ends, and the second halves of calls.
    let is_call = |line: &&str| {
        let call = line
            .trim_start_matches(|c: char| c.is_ascii_digit())
            .trim_start();
        call.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
    };
    trace.lines().filter(is_call).count() as u64
}

#[test]
fn instructions_of_the_runtime() {
    let Some(host) = require::host(PRESET, Cgroups::V1) else {
        return;
    };
    if !require::programs(&["valgrind"]) {
        return;
    }
    let runtime = Runtime::under_test(&host);
    for (id, gpus) in [("plain", 0), ("gpus", 64)] {
        runtime.up(&docker_like(&host, id, gpus, &["sleep", "1000"]));
    }
    // Commands that enter no container: what is done after the program has executed
    // itself from a sealed copy is out of valgrind's sight. Nor `kill`: Debian 12's valgrind has no
    // pidfd_send_signal(2).
    let of = |words: &[&str]| instructions(&host, &runtime.command(words));
    host.inside(|| fs::create_dir("/run/spec"))
        .unwrap()
        .unwrap();
    let counts = [
        ("features", of(&["features"])),
        ("spec", of(&["spec", "--bundle", "/run/spec"])),
        ("list", of(&["list"])),
        ("state", of(&["state", "plain"])),
        ("state, 64 GPUs", of(&["state", "gpus"])),
        ("ps", of(&["ps", "plain"])),
    ];
    check("instructions of amd-container-runtime", &counts);
}

#[test]
fn instructions_of_amd_ctk() {
    let Some(host) = require::host(PRESET, Cgroups::V1) else {
        return;
    };
    if !require::programs(&["valgrind"]) {
        return;
    }
    let program = binary::ours("amd-ctk", "amd-ctk").unwrap();
    let of = |words: &[&str]| instructions(&host, Command::new(&program).args(words));
    let counts = [
        ("version", of(&["version"])),
        ("gpu list, 64 GPUs", of(&["gpu", "list"])),
        (
            "cdi generate, 64 GPUs",
            of(&["cdi", "generate", "--output=-"]),
        ),
    ];
    check("instructions of amd-ctk", &counts);
}

#[test]
fn system_calls_of_the_runtime() {
    let Some(host) = require::host(PRESET, Cgroups::V1) else {
        return;
    };
    if !require::programs(&["strace"]) {
        return;
    }
    let runtime = Runtime::under_test(&host);
    let mut counts = Vec::new();
    let names = [
        [
            "create",
            "start",
            "kill",
            "delete",
            "run and all that it starts",
        ],
        [
            "create, 64 GPUs",
            "start, 64 GPUs",
            "kill, 64 GPUs",
            "delete, 64 GPUs",
            "run and all that it starts, 64 GPUs",
        ],
    ];
    for (names, gpus) in names.into_iter().zip([0, 64]) {
        let [create, start, kill, delete, run] = names;
        let bundle = docker_like(&host, "c", gpus, &["sleep", "1000"]);
        let dir = bundle.path().to_str().unwrap();
        let mut count = |name, words: &[&str]| {
            let calls = crash::calls(&host, &runtime, words).unwrap();
            counts.push((name, calls.len() as u64));
        };
        count(create, &["create", "--bundle", dir, "c"]);
        count(start, &["start", "c"]);
        count(kill, &["kill", "c", "KILL"]);
        runtime.wait_stopped("c");
        count(delete, &["delete", "c"]);
        let bundle = docker_like(&host, "c", gpus, &["true"]);
        let dir = bundle.path().to_str().unwrap();
        let command = runtime.command(&["run", "--bundle", dir, "c"]);
        counts.push((run, all_system_calls(&host, &command)));
    }
    check("system calls of amd-container-runtime", &counts);
}
