//! The bundle is the caller's.

use std::fs;

use integration::bundle::Bundle;
use integration::mi300x::nodes;
use integration::runtime::Runtime;
use integration::spec::Spec;
use serde_json::{Value, json};

use crate::fixture::{granted, host, looks, read};

#[test]
fn config_json_is_not_written_with_or_without_gpus() {
    let Some(host) = host() else { return };
    for spec in [looks("0,1"), Spec::docker().args(&["true"])] {
        let bundle = Bundle::new(&host, "c", spec);
        let config = bundle.path().join("config.json");
        // Bytes that no writer of JSON would choose.
        let before = read(&host, &config).unwrap();
        let before = [b"\n\t", &before[..], b"\r\n \n"].concat();
        host.inside(|| fs::write(&config, &before))
            .unwrap()
            .unwrap();
        Runtime::under_test(&host).run(&bundle).ok();
        assert_eq!(read(&host, &config).unwrap(), before);
    }
}

#[test]
fn fields_that_are_not_known_reach_the_spec_that_is_run() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let newer = json!({"since": "2.0", "n": 18446744073709551615_u64});
    let spec = looks("0")
        .set("/linux/notYetKnown", newer.clone())
        .set("/notYetKnown", newer.clone());
    let bundle = Bundle::new(&host, "c", spec);
    runtime.create(&bundle).ok();
    let effective = read(&host, runtime.root().join("c/spec.json")).unwrap();
    let effective: Value = serde_json::from_slice(&effective).unwrap();
    assert_eq!(effective["linux"]["notYetKnown"], newer);
    assert_eq!(effective["notYetKnown"], newer);
}

#[test]
fn a_second_create_of_a_bundle_gives_the_same_devices() {
    let Some(host) = host() else { return };
    let bundle = Bundle::new(&host, "c", looks("0,1"));
    let runtime = Runtime::under_test(&host);
    let devices = || {
        runtime.create(&bundle).ok();
        let effective = read(&host, runtime.root().join("c/spec.json")).unwrap();
        runtime.call(&["delete", "--force", "c"]).ok();
        let effective: Value = serde_json::from_slice(&effective).unwrap();
        effective["linux"]["devices"].clone()
    };
    let first = devices();
    assert_eq!(first.as_array().map(Vec::len), Some(5), "{first}");
    assert_eq!(devices(), first);
}

#[test]
fn run_gives_gpus_as_create_does() {
    let Some(host) = host() else { return };
    assert_eq!(granted(&host, looks("3")), nodes(&[3]));
}
