//! The file that `amd-ctk cdi generate` writes, and what writing it takes.

use std::fs;
use std::process::Command;

use integration::host::{Board, Host, Model};
use integration::outcome::Outcome;
use integration::require;

use crate::fixture::{SPEC, call, ctk, host, names, program, read, spec, start};

/// Checks that a command starts no process and no thread, of 64 partitions.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "helper of tests")]
fn assert_starts_nothing(words: &[&str]) {
    if !require::programs(&["strace"]) {
        return;
    }
    let Some(host) = host("mi300x-8-cpx") else {
        return;
    };
    let mut traced = Command::new("strace");
    traced
        .args(["--follow-forks", "--trace=process", "--output=/run/trace"])
        .arg(program())
        .args(words);
    Outcome::of(&host, &mut traced).unwrap().ok();
    let trace = read(&host, "/run/trace");
    let starts = |call: &str| trace.lines().filter(|line| line.contains(call)).count();
    assert_eq!(starts("execve("), 1, "{trace}");
    for fork in ["fork(", "clone(", "clone3("] {
        assert_eq!(starts(fork), 0, "{trace}");
    }
}

#[test]
fn cdi_generate_starts_no_program() {
    assert_starts_nothing(&["cdi", "generate"]);
}

#[test]
fn gpu_list_starts_no_program() {
    assert_starts_nothing(&["gpu", "list"]);
}

#[test]
fn the_spec_of_a_host_is_the_same_after_a_reboot() {
    let boot = |kfd_major| {
        let machine = Host {
            kfd_major,
            ..Host::new()
        }
        .board(Board::new("0000:05:00.0", Model::MI210));
        Some(spec(&start(&machine)?, &[]))
    };
    let (Some(before), Some(after)) = (boot(235), boot(511)) else {
        return;
    };
    assert_eq!(before, after);
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let Some(host) = host("mi300x-8-cpx") else {
        return;
    };
    call(&host, "mkdir", &["-p", "/etc/cdi"]).ok();
    let size = ["-t", "tmpfs", "-o", "size=128k", "tmpfs", "/etc/cdi"];
    call(&host, "mount", &size).ok();
    let old = r#"{"cdiVersion": "0.5.0", "kind": "amd.com/gpu", "devices": []}"#;
    host.inside(|| fs::write(SPEC, old)).unwrap().unwrap();
    call(
        &host,
        "dd",
        &["if=/dev/zero", "of=/etc/cdi/ballast", "bs=1k"],
    )
    .fails(1);
    let message = ctk(&host, &["cdi", "generate"]).fails(1);
    assert!(message.contains("No space left on device"), "{message}");
    assert!(message.contains(SPEC), "{message}");
    assert_eq!(read(&host, SPEC), old);
    assert_eq!(names(&host, "/etc/cdi"), ["amd.json", "ballast"]);
}

#[test]
fn an_error_goes_to_the_caller_and_to_no_log() {
    let Some(host) = host("mi300x-8") else { return };
    host.inside(|| fs::remove_file("/dev/kfd"))
        .unwrap()
        .unwrap();
    call(&host, "mount", &["-o", "remount,ro", "/var/log"]).ok();
    for command in [&["cdi", "generate"][..], &["cdi", "list"]] {
        let message = ctk(&host, command).fails(1);
        assert!(
            message.starts_with("error: cannot stat /dev/kfd, "),
            "{message}"
        );
    }
    assert!(names(&host, "/var/log").is_empty());
}

#[test]
fn a_link_in_the_place_of_the_file_stays_one() {
    let Some(host) = host("mi300x-8") else { return };
    call(&host, "mkdir", &["-p", "/etc/cdi", "/etc/elsewhere"]).ok();
    call(&host, "ln", &["-s", "../elsewhere/gpus.json", SPEC]).ok();
    ctk(&host, &["cdi", "generate"]).ok();
    assert_eq!(
        call(&host, "readlink", &[SPEC]).ok(),
        "../elsewhere/gpus.json\n"
    );
    assert!(read(&host, "/etc/elsewhere/gpus.json").contains("amd.com/gpu"));
}

#[test]
fn a_directory_that_a_private_umask_makes_can_be_read_by_all() {
    let Some(host) = host("mi300x-8") else { return };
    let script = format!(
        "umask 077; exec {} cdi generate -o /etc/a/b/amd.json",
        program().display()
    );
    call(&host, "sh", &["-c", &script]).ok();
    let modes = ["-c", "%a", "/etc/a", "/etc/a/b", "/etc/a/b/amd.json"];
    assert_eq!(call(&host, "stat", &modes).ok(), "755\n755\n644\n");
}
