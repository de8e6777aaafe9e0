//! `amd-ctk cdi generate` and the files that are there already.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;
use std::path::PathBuf;
use std::thread;

use support::{Host, Outcome};

/// A host with device nodes, where this user may make them.
fn host() -> Option<Host> {
    let host = Host::mixed();
    host.make_nodes().then_some(host)
}

fn generate(host: &Host, args: &[&str]) -> Outcome {
    host.amd_ctk(&[&["cdi", "generate"], args].concat())
}

fn file(host: &Host, path: &str) -> PathBuf {
    host.path().join(path)
}

#[test]
fn what_is_not_ours_is_not_replaced() {
    let Some(host) = host() else { return };
    for (text, what) in [
        (
            r#"{"cdiVersion": "0.5.0", "kind": "other.com/gpu", "devices": []}"#,
            "is a CDI spec of other.com/gpu",
        ),
        (r#"{"a": 1}"#, "is not a CDI spec"),
        ("{ torn", "is not a CDI spec"),
        ("", "is not a CDI spec"),
    ] {
        host.file("/etc/cdi/amd.json", text);
        let run = generate(&host, &[]);
        assert!(run.stderr.contains(what), "{}", run.stderr);
        assert!(run.stderr.contains("\nhint: "), "{}", run.stderr);
        assert_eq!(run.code, Some(1), "{text}");
        let path = file(&host, "etc/cdi/amd.json");
        assert_eq!(fs::read_to_string(path).unwrap(), text);
    }
}

#[test]
fn an_older_spec_of_ours_is_replaced_in_whatever_language() {
    for text in [
        r#"{"cdiVersion": "0.6.0", "kind": "amd.com/gpu", "devices": []}"#,
        "cdiVersion: \"0.6.0\"\nkind: amd.com/gpu\ndevices: []\n",
    ] {
        let Some(host) = host() else { return };
        host.file("/etc/cdi/amd.json", text);
        let run = generate(&host, &[]);
        assert!(run.stdout.starts_with("wrote "), "{}", run.stdout);
    }
}

#[test]
fn specs_of_others_beside_it_are_left_alone() {
    let Some(host) = host() else { return };
    let text = r#"{"cdiVersion": "0.5.0", "kind": "other.com/gpu", "devices": []}"#;
    host.file("/etc/cdi/other.json", text);
    assert_eq!(generate(&host, &[]).code, Some(0));
    let other = fs::read_to_string(file(&host, "etc/cdi/other.json"));
    assert_eq!(other.unwrap(), text);
    let names: Vec<_> = fs::read_dir(file(&host, "etc/cdi")).unwrap().collect();
    assert_eq!(names.len(), 2, "no temporary file: {names:?}");
}

#[test]
fn a_second_spec_with_the_same_names_is_warned_of() {
    let Some(host) = host() else { return };
    assert_eq!(generate(&host, &[]).code, Some(0));
    let yaml = file(&host, "etc/cdi/second.yaml");
    let run = generate(&host, &["--output", yaml.to_str().unwrap()]);
    assert!(
        run.stderr
            .starts_with("warning: <host>/etc/cdi/amd.json has amd.com/gpu=0 too"),
        "{}",
        run.stderr
    );
    assert_eq!(run.code, Some(0));
}

#[test]
fn a_spec_that_engines_prefer_is_warned_of() {
    let Some(host) = host() else { return };
    assert_eq!(generate(&host, &[]).code, Some(0));
    let spec = fs::read_to_string(file(&host, "etc/cdi/amd.json")).unwrap();
    host.file("/var/run/cdi/old.json", &spec);
    let run = generate(&host, &[]);
    assert_eq!(
        run.stderr,
        "warning: <host>/var/run/cdi/old.json has amd.com/gpu=0 too: engines take that one\n\
         hint: remove <host>/var/run/cdi/old.json if nobody needs it\n"
    );
    assert_eq!(run.code, Some(0));
}

#[test]
fn many_at_once_all_succeed() {
    let Some(host) = host() else { return };
    thread::scope(|scope| {
        let runs: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| generate(&host, &[])))
            .collect();
        for run in runs {
            let run = run.join().unwrap();
            assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
        }
    });
    assert_eq!(host.amd_ctk(&["cdi", "validate"]).code, Some(0));
}

#[test]
fn a_place_that_is_no_file_is_an_error() {
    let Some(host) = host() else { return };
    for output in ["/dev/null", "/"] {
        let run = generate(&host, &["--output", output]);
        assert!(run.stderr.contains("not a regular file"), "{}", run.stderr);
        assert_eq!(run.code, Some(1));
    }
}

const REMOVE: [&str; 1] = ["--remove-if-none"];

#[test]
fn a_host_that_lost_its_gpus_loses_its_spec_where_that_is_asked_for() {
    let Some(host) = host() else { return };
    generate(&host, &REMOVE);
    let spec = file(&host, "etc/cdi/amd.json");
    assert!(spec.is_file());
    fs::remove_dir_all(file(&host, "sys/bus/pci/drivers/amdgpu")).unwrap();
    fs::remove_dir_all(file(&host, "sys/devices/platform")).unwrap();
    assert_eq!(generate(&host, &[]).code, Some(1));
    assert!(spec.is_file());
    let run = generate(&host, &REMOVE);
    let said = "removed <host>/etc/cdi/amd.json (no GPU)\n";
    assert_eq!((run.stdout.as_str(), run.code), (said, Some(0)));
    assert!(!spec.exists());
    let run = generate(&host, &REMOVE);
    let said = "unchanged: there is no <host>/etc/cdi/amd.json (no GPU)\n";
    assert_eq!((run.stdout.as_str(), run.code), (said, Some(0)));
}

#[test]
fn what_is_not_ours_is_not_removed() {
    let host = Host::bare();
    let text = r#"{"cdiVersion": "0.5.0", "kind": "other.com/gpu", "devices": []}"#;
    host.file("/etc/cdi/amd.json", text);
    let run = generate(&host, &REMOVE);
    let error = "error: <host>/etc/cdi/amd.json is a CDI spec of other.com/gpu";
    assert!(run.stderr.starts_with(error), "{}", run.stderr);
    assert_eq!(run.code, Some(1));
    let path = file(&host, "etc/cdi/amd.json");
    assert_eq!(fs::read_to_string(path).unwrap(), text);
}

#[test]
fn standard_output_cannot_be_removed() {
    let run = generate(&Host::bare(), &["--remove-if-none", "--output", "-"]);
    assert!(run.stderr.contains("--remove-if-none"), "{}", run.stderr);
    assert_eq!(run.code, Some(1));
}
