//! What people and engines type: each command line exits with the code that runc 1.1 exits with, or
//! the table says why not.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stand on it")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use integration::binary;
use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::outcome::Outcome;
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use serde_json::json;

const LINES: &str = include_str!("command_lines/lines.txt");

/// A row of the table.
struct Line<'t> {
    words: Vec<&'t str>,
    ours: i32,
    runcs: i32,
    /// Whether the container R has to have ended before.
    after_the_end: bool,
}

/// `OURS [runc ITS]  WORDS  [# REASON]`
fn parse(text: &str) -> Option<Line<'_>> {
    let (codes, rest) = text.split_once("  ")?;
    let words = rest.split("  # ").next()?;
    let (ours, runcs) = codes.split_once(" runc ").unwrap_or((codes, codes));
    assert_eq!(
        ours == runcs,
        words == rest,
        "a reason for a difference: {text}"
    );
    Some(Line {
        words: words
            .split_whitespace()
            .map(|word| if word == "\"\"" { "" } else { word })
            .collect(),
        ours: ours.parse().ok()?,
        runcs: runcs.parse().ok()?,
        after_the_end: false,
    })
}

fn lines() -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut ended = false;
    for text in LINES.lines() {
        match text {
            "# until R has ended" => ended = true,
            _ if text.starts_with('#') => {}
            _ => {
                let line = parse(text).unwrap_or_else(|| panic!("no row: {text}"));
                lines.push(Line {
                    after_the_end: ended,
                    ..line
                });
            }
        }
    }
    assert!(ended, "no line is said to come after the end of R");
    lines
}

/// The codes with which `program` exits, by line.
fn codes(host: &SimulatedHost, program: PathBuf) -> Vec<i32> {
    let runtime = Runtime::at(host, program);
    let sleeps = || {
        Spec::docker()
            .without_mount("/sys/fs/cgroup")
            .args(&["sleep", "1000"])
    };
    let running = Bundle::new(host, "R", sleeps());
    let created = Bundle::new(host, "C", sleeps());
    let bundle = Bundle::new(host, "n", sleeps().args(&["true"]));
    runtime.up(&running);
    runtime.create(&created).ok();
    let process = json!({
        "args": ["id", "-u"], "cwd": "/", "user": {"uid": 5, "gid": 5}, "env": ["PATH=/bin"],
    });
    let write = |name: &str, text: String| fs::write(bundle.path().join(name), text);
    host.inside(|| {
        write("PROC", process.to_string())?;
        write("RES", json!({"pids": {"limit": 77}}).to_string())?;
        write("BAD", "{".to_owned())
    })
    .unwrap()
    .unwrap();

    let mut ended = false;
    let mut codes = Vec::new();
    for line in lines() {
        if line.after_the_end && !ended {
            runtime.wait_stopped("R");
            ended = true;
        }
        let has_root = line
            .words
            .first()
            .is_some_and(|word| word.starts_with("--root"));
        let mut command = match has_root && !line.words[0].starts_with("--rootless") {
            true => {
                let mut command = Command::new(runtime.program());
                command.args(&line.words);
                command
            }
            false => runtime.command(&line.words),
        };
        let outcome = Outcome::of(host, command.current_dir(bundle.path())).unwrap();
        codes.push(outcome.code);
        for id in ["n", "x1", "nope1"] {
            if matches!(line.words.first(), Some(&"run" | &"create")) {
                runtime.call(&["delete", "--force", id]).ok();
            }
        }
    }
    for id in ["R", "C"] {
        runtime.call(&["delete", "--force", id]).ok();
    }
    codes
}

#[track_caller]
fn all_exit_with(program: PathBuf, expected: impl Fn(&Line<'_>) -> i32) {
    let Some(host) = require::host(mi300x::PRESET, Cgroups::V1) else {
        return;
    };
    let lines = lines();
    let codes = codes(&host, program);
    let wrong: Vec<String> = lines
        .iter()
        .zip(codes)
        .filter(|(line, code)| expected(line) != *code)
        .map(|(line, code)| {
            format!(
                "{}: {code}, and not {}",
                line.words.join(" "),
                expected(line)
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_exits_with_the_code_of_the_table() {
    all_exit_with(binary::runtime_under_test().unwrap(), |line| line.ours);
}

#[test]
fn runc_exits_with_the_code_that_the_table_says_of_it() {
    if let Some(program) = require::runc_1_1() {
        all_exit_with(program, |line| line.runcs);
    }
}
