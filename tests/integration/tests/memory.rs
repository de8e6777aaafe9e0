//! How much memory the runtime needs, of the programs that are installed: those of a development build
//! have other sizes. `make bench` compares it with that of runc and crun.

#![allow(clippy::unwrap_used, reason = "tests stand on it")]

use std::process::Command;

use integration::binary;
use integration::bundle::Bundle;
use integration::host::Cgroups;
use integration::outcome::Outcome;
use integration::require;
use integration::spec::Spec;

/// The most memory that a create may have, in KiB: 4.5 MB.
const PEAK_KIB: u64 = 4_500_000 / 1024;

/// The peak of a create with 64 GPUs; `None` where that cannot be measured here.
fn peak_of_create(cgroups: Cgroups) -> Option<u64> {
    if std::env::var_os("AMD_TEST_PROGRAMS").is_none() {
        println!("skipped: AMD_TEST_PROGRAMS names no installed programs");
        return None;
    }
    let host = require::host("mi300x-8-cpx", cgroups)?;
    let spec = Spec::docker().env("AMD_VISIBLE_DEVICES=all");
    let bundle = Bundle::new(&host, "peak", spec.args(&["sleep", "1000"]));
    let mut create = Command::new(env!("CARGO_BIN_EXE_peak"));
    create
        .arg(binary::runtime_under_test().unwrap())
        .args(["--root", "/run/peak", "create", "--bundle"])
        .arg(bundle.path())
        .args(["--pid-file", "/run/peak.pid", "peak"])
        .env_remove("RUST_BACKTRACE");
    let peak = Outcome::of(&host, &mut create).unwrap().ok();
    let peak = peak.trim().parse().unwrap();
    println!("{peak} KiB of at most {PEAK_KIB}");
    Some(peak)
}

#[track_caller]
fn check(peak: Option<u64>) {
    let hint =
        "hint: `make function-order` puts the functions that a create needs beside each other";
    assert!(
        peak.is_none_or(|kib| kib <= PEAK_KIB),
        "{peak:?} KiB\n{hint}"
    );
}

#[test]
fn a_create_with_64_gpus_needs_at_most_4_5_megabytes_on_v1() {
    check(peak_of_create(Cgroups::V1));
}

#[test]
fn a_create_with_64_gpus_needs_at_most_4_5_megabytes_on_v2() {
    check(peak_of_create(Cgroups::V2));
}
