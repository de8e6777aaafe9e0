//! The CDI spec.

use std::fs;

use serde_json::Value;

use crate::fixture::{ctk, host, text};

const SPEC: &str = "/etc/cdi/amd.json";

#[test]
fn numbers_of_device_nodes_are_the_engines_to_find_out() {
    let Some(host) = host() else { return };
    ctk(&host, &["cdi", "generate"]).ok();
    let spec: Value = serde_json::from_str(&text(&host, SPEC)).unwrap();
    let nodes: Vec<&Value> = spec["devices"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|device| device["containerEdits"]["deviceNodes"].as_array().unwrap())
        .collect();
    assert!(nodes.len() > 8, "{spec}");
    for node in nodes {
        let keys: Vec<&String> = node.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["path"], "{node}");
    }
}

#[test]
fn a_node_that_is_missing_is_an_error_and_no_device_0_0() {
    let Some(host) = host() else { return };
    for node in ["/dev/dri/renderD136", "/dev/kfd"] {
        host.inside(|| fs::remove_file(node)).unwrap().unwrap();
        for words in [&["cdi", "generate"][..], &["cdi", "list"]] {
            let message = ctk(&host, words).fails(1);
            assert!(message.contains(node), "{message}");
        }
    }
    let made = host.inside(|| fs::exists(SPEC)).unwrap();
    assert!(!made.unwrap());
}

#[test]
fn a_spec_that_is_not_valid_is_exit_code_1() {
    let Some(host) = host() else { return };
    ctk(&host, &["cdi", "generate"]).ok();
    ctk(&host, &["cdi", "validate"]).ok();
    let spec = text(&host, SPEC);
    for (broken, finding) in [
        (spec.replace("renderD128", "renderD250"), "missing"),
        (spec.replace("amd.com/gpu", "amd.com/"), "invalid"),
        (spec.replace("cdiVersion", "version"), "invalid"),
        ("{".to_owned(), "is not JSON"),
    ] {
        crate::fixture::write(&host, SPEC, &broken);
        let outcome = ctk(&host, &["cdi", "validate", "--path", SPEC]);
        assert_eq!(outcome.code, 1, "{outcome}");
        assert!(
            format!("{}{}", outcome.stdout, outcome.stderr).contains(finding),
            "{outcome}"
        );
    }
}
