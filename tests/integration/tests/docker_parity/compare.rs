//! Runs the cases of a topic with both runtimes, and compares.

use std::collections::BTreeMap;
use std::process::Command;
use std::thread;

use integration::binary::runtime_under_test;
use integration::docker::{self, Docker};
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::outcome::Outcome;
use integration::require;

use crate::differences::DIFFERENCES;
use crate::normalise::normalise;
use crate::script::{RUNTIMES, run};

/// A script of docker commands, under a name that says what is compared.
pub type Case = (&'static str, &'static str);

/// What is compared of a case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The exit code of the script.
    Code,
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// Runs every case with both runtimes in one dockerd, and compares what came of it.
///
/// # Panics
/// When a case differs that is not in [`DIFFERENCES`], or one that is does not.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
pub fn assert_alike(cases: &[Case]) {
    if !require::programs(&[&docker::PROGRAMS[..], &["runc", "script", "timeout"]].concat())
        || !runc_is_the_one_of_the_list()
    {
        return;
    }
    let Some(host) = require::host(mi300x::PRESET, Cgroups::V1) else {
        return;
    };
    let docker = Docker::start(&host, &runtime_under_test().unwrap());
    let only = std::env::var("PARITY_CASE").ok();
    let wanted = |(name, _): &&Case| only.as_deref().is_none_or(|only| only == *name);
    // Each runtime goes through the cases by itself.
    let [theirs, ours] = thread::scope(|scope| {
        let all = RUNTIMES.map(|runtime| {
            let (host, docker) = (&host, &docker);
            scope.spawn(move || {
                let one = |(name, script): &Case| {
                    let outcome = run(host, docker, runtime, name, script);
                    (*name, alike(outcome, runtime, name, host))
                };
                cases.iter().filter(wanted).map(one).collect()
            })
        });
        all.map(|thread| -> BTreeMap<&str, Outcome> { thread.join().unwrap() })
    });
    let faults: Vec<String> = theirs
        .iter()
        .flat_map(|(name, theirs)| compare(name, theirs, &ours[name]))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Whether runc is of the minor version with which [`DIFFERENCES`] was made: others differ from it
/// as much as we do.
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
fn runc_is_the_one_of_the_list() -> bool {
    let output = Command::new("runc").arg("--version").output().unwrap();
    let version = String::from_utf8(output.stdout).unwrap();
    let met = version.starts_with("runc version 1.1.");
    if !met {
        eprintln!("skipped: needs runc 1.1, and this is {version}");
    }
    met
}

fn alike(outcome: Outcome, runtime: &str, name: &str, host: &SimulatedHost) -> Outcome {
    let container = format!("{name}-{runtime}");
    let plain = |text: &str| normalise(text, &container, host.cgroup());
    Outcome {
        stdout: plain(&outcome.stdout),
        stderr: plain(&outcome.stderr),
        line: name.to_owned(),
        code: outcome.code,
    }
}

fn compare(name: &str, theirs: &Outcome, ours: &Outcome) -> Vec<String> {
    let mut faults = Vec::new();
    if theirs.code == 99 || ours.code == 99 {
        faults.push(format!(
            "{name}: waited in vain\nrunc: {theirs}\nours: {ours}\n"
        ));
        return faults;
    }
    let parts = [
        (Part::Code, theirs.code.to_string(), ours.code.to_string()),
        (Part::Stdout, theirs.stdout.clone(), ours.stdout.clone()),
        (Part::Stderr, theirs.stderr.clone(), ours.stderr.clone()),
    ];
    for (part, theirs, ours) in parts {
        let known = DIFFERENCES
            .iter()
            .find(|known| known.case == name && known.part == part);
        match known {
            None if theirs != ours => faults.push(format!(
                "{name}: {part:?} differs\n--- runc\n{theirs}\n--- ours\n{ours}\n"
            )),
            Some(known) if theirs == ours => faults.push(format!(
                "{name}: {part:?} does not differ any more ({}); take it off the list\n{theirs}\n",
                known.why
            )),
            Some(known) if !ours.contains(known.ours) => faults.push(format!(
                "{name}: {part:?} has no {:?}\n--- runc\n{theirs}\n--- ours\n{ours}\n",
                known.ours
            )),
            _ => {}
        }
    }
    faults
}
