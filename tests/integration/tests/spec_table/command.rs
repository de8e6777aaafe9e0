//! `spec`: the config.json to start from.

use std::fs;
use std::path::Path;
use std::process::Command;

use integration::{binary, require};
use serde_json::Value;

/// What `spec` of a runtime writes.
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn written_by(program: &Path, options: &[&str]) -> Value {
    let bundle = tempfile::tempdir().unwrap();
    let mut spec = Command::new(program);
    spec.arg("spec")
        .args(options)
        .arg("--bundle")
        .arg(bundle.path());
    let output = spec.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&fs::read(bundle.path().join("config.json")).unwrap()).unwrap()
}

#[test]
fn it_writes_what_runc_writes() {
    let Some(runc) = require::runc_1_1().filter(|_| require::root()) else {
        return;
    };
    let ours = binary::runtime_under_test().unwrap();
    for options in [&[][..], &["--rootless"]] {
        let (mut ours, mut runcs) = (written_by(&ours, options), written_by(&runc, options));
        // runc 1.1 is of an older spec, and its example has a set more, which runc 1.2 dropped.
        assert_ne!(ours["ociVersion"].take(), runcs["ociVersion"].take());
        let capabilities = runcs["process"]["capabilities"].as_object_mut().unwrap();
        assert!(capabilities.remove("ambient").is_some());
        assert_eq!(ours, runcs, "{options:?}");
    }
}

#[test]
fn it_does_not_write_over_a_file() {
    let bundle = tempfile::tempdir().unwrap();
    let config = bundle.path().join("config.json");
    fs::write(&config, "mine").unwrap();
    let mut spec = Command::new(binary::runtime_under_test().unwrap());
    let output = spec.arg("spec").arg("--bundle").arg(bundle.path()).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(stderr.contains("exists. Remove it first"), "{stderr}");
    assert_eq!(fs::read_to_string(&config).unwrap(), "mine");
}
