//! That `docs/output-formats.md` is what the programs print.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use serde_json::Value;
use support::Host;

const MANUAL: &str = include_str!("../../../docs/output-formats.md");

/// The example in the section whose title begins with `title`.
fn documented(title: &str) -> Value {
    let section = MANUAL
        .split("\n## ")
        .find(|section| section.starts_with(title));
    let example = section.unwrap().split("```").nth(1).unwrap();
    serde_json::from_str(example.strip_prefix("json").unwrap()).unwrap()
}

/// The keys of a value and of what is in it, each with its place; of an array those of the
/// first element.
fn keys(place: &str, value: &Value) -> Vec<String> {
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(key, value)| {
                let place = format!("{place}.{key}");
                [vec![place.clone()], keys(&place, value)].concat()
            })
            .collect(),
        Value::Array(values) => values
            .first()
            .map(|value| keys(&format!("{place}[]"), value))
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// A host that has of everything something to tell, with a spec and a missing node.
fn host() -> Option<Host> {
    let host = Host::mixed();
    host.make_nodes().then(|| {
        assert_eq!(host.amd_ctk(&["cdi", "generate"]).code, Some(0));
        host
    })
}

#[track_caller]
fn assert_documented(title: &str, host: &Host, words: &[&str]) {
    let run = host.amd_ctk(&[words, &["--format", "json"]].concat());
    let printed: Value = serde_json::from_str(&run.stdout).unwrap();
    let (printed, documented) = (keys("", &printed), keys("", &documented(title)));
    assert!(documented.len() > 5, "{documented:?}");
    assert_eq!(printed, documented, "amd-ctk {}", words.join(" "));
}

#[test]
fn gpus_are_printed_as_documented() {
    let Some(host) = host() else { return };
    let title = "`amd-ctk gpu list` and `amd-ctk gpu show GPU...`";
    assert_documented(title, &host, &["gpu", "list"]);
    assert_documented(title, &host, &["gpu", "show", "1"]);
}

#[test]
fn cdi_devices_are_printed_as_documented() {
    let Some(host) = host() else { return };
    let dir = host.path().join("etc/cdi");
    let words = ["cdi", "list", "--spec-dir", dir.to_str().unwrap()];
    assert_documented("`amd-ctk cdi list`", &host, &words);
}

#[test]
fn checks_are_printed_as_documented() {
    assert_documented("`amd-ctk doctor`", &Host::bare(), &["doctor"]);
}

#[test]
fn every_check_is_named() {
    let section = MANUAL.split("\n## `amd-ctk doctor`").nth(1).unwrap();
    for check in amd_ctk::doctor::CHECKS {
        assert!(
            section.contains(&format!("`{}`", check.name)),
            "{}",
            check.name
        );
    }
}

#[test]
fn findings_are_printed_as_documented() {
    let Some(host) = host() else { return };
    host.remove("/dev/kfd");
    assert_documented("`amd-ctk cdi validate`", &host, &["cdi", "validate"]);
}
