//! Runs the rows of a table with both runtimes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::outcome::Outcome;
use integration::{binary, require, rootfs};
use serde_json::Value;

use super::row::{Row, Verdict};

/// The name of the runtime under test.
const OURS: &str = "ours";

/// What a runtime made of a row.
struct Seen {
    verdict: Verdict,
    /// Its error, its warnings, and the output of the program.
    says: String,
}

/// Asserts that every row comes out as it says, with ours and with runc.
#[track_caller]
#[allow(clippy::unwrap_used, clippy::panic, reason = "a test stands on it")]
pub fn check(rows: &[Row]) {
    let Some(host) = require::host(mi300x::PRESET, Cgroups::V1) else {
        return;
    };
    let ours = Subject::new(&host, OURS, binary::runtime_under_test().unwrap());
    let runc = require::runc_1_1().map(|program| Subject::new(&host, "runc", program));
    let failures: Vec<String> = rows
        .iter()
        .flat_map(|row| {
            let wrong = differs_from_row(row, &ours.run(row));
            let compared = runc
                .as_ref()
                .filter(|_| !row.alone)
                .and_then(|runc| differs_from_runc(row, &runc.run(row)));
            [wrong, compared].into_iter().flatten()
        })
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} rows:\n{}",
        failures.len(),
        rows.len(),
        failures.join("\n")
    );
}

fn differs_from_row(row: &Row, seen: &Seen) -> Option<String> {
    let what = if seen.verdict != row.verdict {
        format!("is {:?}, not {:?}", seen.verdict, row.verdict)
    } else if !seen.says.contains(&row.says) {
        format!("does not say {:?}", row.says)
    } else {
        return None;
    };
    Some(format!("{}: {what}: {}", row.name, seen.says))
}

fn differs_from_runc(row: &Row, seen: &Seen) -> Option<String> {
    let expected = row.runc.map_or(row.verdict, |(verdict, _)| verdict);
    let what = if row.runc.is_some_and(|(verdict, _)| verdict == row.verdict) {
        "the row says that runc differs, and then not".to_owned()
    } else if seen.verdict != expected {
        format!("runc: is {:?}, not {expected:?}", seen.verdict)
    } else {
        return None;
    };
    Some(format!("{}: {what}: {}", row.name, seen.says))
}

/// A runtime with a bundle of its own, whose config.json each row replaces.
struct Subject<'h> {
    host: &'h SimulatedHost,
    name: &'static str,
    program: PathBuf,
}

#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
impl<'h> Subject<'h> {
    fn new(host: &'h SimulatedHost, name: &'static str, program: PathBuf) -> Self {
        let subject = Self {
            host,
            name,
            program,
        };
        let dir = subject.path("bundle");
        host.inside(|| {
            fs::create_dir_all(&dir)?;
            rootfs::create(&dir.join("rootfs"))
        })
        .unwrap()
        .unwrap();
        subject
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new("/run/table").join(self.name).join(name)
    }

    /// Runs a row. Where ours must refuse the spec before it touches anything, it could not
    /// make the container either: there is a file in the place of its state directory.
    fn run(&self, row: &Row) -> Seen {
        let (root, log, bundle) = (self.path("root"), self.path("log"), self.path("bundle"));
        let cgroup = format!("{}/{}", self.host.cgroup(), self.name);
        self.host
            .inside(|| {
                let _ = fs::remove_dir_all(&root);
                let _ = fs::remove_file(&log);
                fs::create_dir_all(&root)?;
                if self.name == OURS && row.verdict == Verdict::Refused && !row.late {
                    fs::write(root.join("c"), "")?;
                }
                fs::write(bundle.join("config.json"), named(&row.config, &cgroup))
            })
            .unwrap()
            .unwrap();
        let mut command = Command::new(&self.program);
        command
            .arg("--root")
            .arg(&root)
            .arg("--log")
            .arg(&log)
            .args(["--log-format", "json", "run", "--bundle"])
            .arg(&bundle)
            .arg("c")
            .stdin(Stdio::null());
        let outcome = Outcome::of(self.host, &mut command).unwrap();
        let log = self.host.inside(|| fs::read_to_string(&log)).unwrap();
        seen(&outcome, &log.unwrap_or_default())
    }
}

fn seen(outcome: &Outcome, log: &str) -> Seen {
    let lines = |level: &str| -> Vec<String> {
        log.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line["level"] == level)
            .filter_map(|line| line["msg"].as_str().map(str::to_owned))
            .collect()
    };
    let (errors, warnings) = (lines("error"), lines("warning"));
    let verdict = if outcome.code != 0 {
        Verdict::Refused
    } else if warnings.is_empty() {
        Verdict::Accepted
    } else {
        Verdict::Warned
    };
    Seen {
        verdict,
        says: [
            &errors.join("\n"),
            &warnings.join("\n"),
            outcome.stdout.trim(),
            outcome.stderr.trim(),
        ]
        .join("\n")
        .trim()
        .chars()
        .take(1000)
        .collect(),
    }
}

/// The config.json of a row for the container with this cgroup.
fn named(config: &[u8], cgroup: &str) -> Vec<u8> {
    const NAME: &[u8] = b"@CGROUP@";
    match config.windows(NAME.len()).position(|part| part == NAME) {
        Some(at) => [&config[..at], cgroup.as_bytes(), &config[at + NAME.len()..]].concat(),
        None => config.to_owned(),
    }
}
