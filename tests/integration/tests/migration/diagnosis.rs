//! Errors reach who can do something about them, and nobody else learns what is not theirs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use integration::bundle::Bundle;
use integration::mi300x::nodes;
use integration::outcome::Outcome;
use integration::runtime::Runtime;

use crate::fixture::{granted, host, looks, text};

#[test]
fn a_missing_kfd_is_an_error_that_names_it() {
    let Some(host) = host() else { return };
    host.inside(|| fs::remove_file("/dev/kfd"))
        .unwrap()
        .unwrap();
    let bundle = Bundle::new(&host, "c", looks("0"));
    let message = Runtime::under_test(&host).run(&bundle).fails(1);
    assert!(message.contains("/dev/kfd"), "{message}");
}

#[test]
fn a_node_that_is_no_device_is_an_error_that_names_it() {
    let Some(host) = host() else { return };
    let node = "/dev/dri/renderD128";
    host.inside(|| fs::remove_file(node).and_then(|()| fs::write(node, "")))
        .unwrap()
        .unwrap();
    let bundle = Bundle::new(&host, "c", looks("0"));
    let message = Runtime::under_test(&host).run(&bundle).fails(1);
    assert!(message.contains(node), "{message}");
}

#[test]
fn containers_start_where_var_log_is_read_only() {
    let Some(host) = host() else { return };
    let mut remount = Command::new("mount");
    remount.args(["-o", "remount,ro", "/var/log"]);
    Outcome::of(&host, &mut remount).unwrap().ok();
    assert_eq!(granted(&host, looks("0")), nodes(&[0]));
}

#[test]
fn the_engine_is_told_of_an_error_where_it_looks() {
    let Some(host) = host() else { return };
    let log = "/run/log.json";
    let bundle = Bundle::new(&host, "c", looks("99"));
    let runtime = Runtime::under_test(&host).option(&["--log", log, "--log-format", "json"]);
    runtime.run(&bundle).fails(1);
    let written = text(&host, log);
    let last: serde_json::Value = serde_json::from_str(written.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "error");
    assert!(last["msg"].as_str().unwrap().contains("\"99\""), "{last}");
}

#[test]
fn the_runtimes_own_log_has_the_error_that_ends_a_command() {
    let Some(host) = host() else { return };
    let log = "/var/log/amd-container-runtime.log";
    let runtime = Runtime::under_test(&host).settings(&format!("[log]\nfile = \"{log}\"\n"));
    runtime.run(&Bundle::new(&host, "c", looks("99"))).fails(1);
    let written = text(&host, log);
    let last = written.lines().last().unwrap_or_default();
    assert!(last.contains("level=error"), "{written}");
    assert!(last.contains("names no GPU"), "{written}");
}

#[test]
fn a_log_is_roots_alone_and_holds_nobodys_environment() {
    let Some(host) = host() else { return };
    let log = "/var/log/amd-container-runtime.log";
    let settings = format!("[log]\nlevel = \"debug\"\nfile = \"{log}\"\n");
    let runtime = Runtime::under_test(&host).settings(&settings);
    for request in ["0", "99"] {
        let spec = looks(request).env("CONTAINER_SECRET=hunter2");
        let bundle = Bundle::new(&host, "c", spec);
        let dir = bundle.path().to_str().unwrap();
        let mut run = runtime.command(&["run", "--bundle", dir, "c"]);
        let _ = Outcome::of(&host, run.env("HOST_SECRET", "hunter3")).unwrap();
    }
    let written = text(&host, log);
    assert!(written.contains("level=debug"), "{written}");
    assert!(!written.contains("hunter"), "{written}");
    let mode = host.inside(|| fs::metadata(log)).unwrap().unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}
