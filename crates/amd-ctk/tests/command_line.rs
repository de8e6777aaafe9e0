//! What holds for every command

mod support;

use amd_ctk::cli::Cli;
use clap::CommandFactory;
use support::{Host, program};

#[test]
fn the_definitions_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_version_is_printed_in_both_ways() {
    for args in [["version"], ["--version"], ["-V"]] {
        let output = program().args(args).output().unwrap();
        let stdout = String::from_utf8(output.stdout).unwrap();
        assert_eq!(stdout, format!("amd-ctk {}\n", env!("CARGO_PKG_VERSION")));
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn a_host_root_that_does_not_exist_is_an_error() {
    let output = program()
        .args(["gpu", "list", "--host-root", "/nonexistent"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        stderr,
        "error: --host-root /nonexistent: no such directory\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_host_root_without_sysfs_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let output = program()
        .arg("--host-root")
        .arg(dir.path())
        .args(["cdi", "list"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("/sys/bus is not there"), "{stderr}");
    assert!(stderr.contains("\nhint: "), "{stderr}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn debug_says_on_stderr_what_is_done_and_leaves_stdout_alone() {
    let host = Host::mixed();
    let plain = host.amd_ctk(&["gpu", "list", "--format", "json"]);
    for args in [["-d", "gpu", "list"], ["gpu", "list", "--debug"]] {
        let debug = host.amd_ctk(&[args.as_slice(), &["--format", "json"]].concat());
        assert!(debug.stderr.contains("GPUs discovered"), "{}", debug.stderr);
        assert_eq!(debug.stdout, plain.stdout);
    }
    assert!(
        !plain.stderr.contains("GPUs discovered"),
        "{}",
        plain.stderr
    );
}

#[test]
fn a_wrong_command_line_exits_with_2() {
    for args in [
        &["gpu", "lst"][..],
        &["gpu", "list", "--format", "xml"],
        &["gpu"],
        &[],
    ] {
        let output = program().args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}
