use super::super::record::State;
use super::super::rules::{apply, needs_restart};
use super::*;
use crate::engines::Settings;

fn request(gpus: &[&str], default: bool) -> Request {
    Request::Configure(Settings {
        name: "amd".into(),
        path: "/usr/bin/amd-container-runtime".into(),
        default,
        cdi: false,
        swarm: gpus.iter().map(|gpu| resource(gpu)).collect(),
    })
}

fn configured(state: &State, gpus: &[&str]) -> State {
    apply(state, &request(gpus, true)).unwrap()
}

fn removed(state: &State) -> State {
    let request = Request::Remove {
        name: "amd".into(),
        path: "/usr/bin/amd-container-runtime".into(),
    };
    apply(state, &request).unwrap()
}

fn state(text: &str) -> State {
    State {
        text: Some(text.to_owned()),
        record: None,
    }
}

fn resources(state: &State) -> Vec<String> {
    list(state.text.as_deref().unwrap()).unwrap()
}

#[test]
fn gpus_are_added_once_and_taken_away_again() {
    for text in [
        "{}",
        "{\n    \"debug\": true\n}\n",
        "{\"node-generic-resources\": []}",
        "{\"node-generic-resources\": [ \"FPGA=2\" , \"AMD_GPU=0xA0\" ]}",
    ] {
        let before = state(text);
        let once = configured(&before, &["0xA0", "0xA1"]);
        let found = resources(&once);
        assert!(
            found.ends_with(&["AMD_GPU=0xA0".into(), "AMD_GPU=0xA1".into()]),
            "{found:?}"
        );
        assert_eq!(configured(&once, &["0xA0", "0xA1"]), once);
        assert!(needs_restart(&before, &once));
        assert!(!needs_restart(&once, &once));
        assert_eq!(removed(&once).text.as_deref(), Some(text));
    }
}

#[test]
fn gpus_that_are_gone_are_replaced_by_those_that_are_here() {
    let before = state("{\"node-generic-resources\": [\"FPGA=2\", \"AMD_GPU=0xFF\"]}");
    let old = configured(&before, &["0xA0", "0xA1"]);
    let new = configured(&old, &["0xA1", "0xA2"]);
    let expected = ["FPGA=2", "AMD_GPU=0xFF", "AMD_GPU=0xA1", "AMD_GPU=0xA2"];
    assert_eq!(resources(&new), expected);
    assert_eq!(removed(&new).text, before.text);
}

#[test]
fn remove_takes_just_ours_from_a_list_that_others_changed() {
    let ours = configured(&state("{\"debug\": true}"), &["0xA0"]);
    let edited = ours
        .text
        .as_deref()
        .unwrap()
        .replace("AMD_GPU=0xA0", "FPGA=1\", \"AMD_GPU=0xA0");
    let edited = State {
        text: Some(edited),
        ..ours
    };
    assert_eq!(resources(&removed(&edited)), ["FPGA=1"]);
}

#[test]
fn without_the_option_the_list_is_left_alone() {
    let text = "{\"node-generic-resources\": \"whatever\"}";
    let configured = configured(&state(text), &[]);
    assert!(configured.text.as_deref().unwrap().contains("\"whatever\""));
    assert_eq!(removed(&configured).text.as_deref(), Some(text));
}

#[test]
fn what_dockerd_would_refuse_is_refused() {
    for (list, message) in [
        ("\"AMD_GPU=1\"", "not a list of strings"),
        ("[1]", "not a list of strings"),
        ("[\"AMD_GPU=8\"]", "counts GPUs"),
    ] {
        let text = format!("{{\"node-generic-resources\": {list}}}");
        let error = apply(&state(&text), &request(&["0xA0"], true)).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[test]
fn a_runtime_that_is_not_the_default_is_noted() {
    let text = |default| {
        apply(&state("{}"), &request(&["0xA0"], default))
            .unwrap()
            .text
            .unwrap()
    };
    assert!(notes(&text(true), &request(&["0xA0"], false)).is_empty());
    assert!(notes(&text(false), &request(&[], false)).is_empty());
    let notes = notes(&text(false), &request(&["0xA0"], false));
    assert!(notes[0].contains("--set-as-default"), "{notes:?}");
}

#[test]
fn a_list_that_is_null_is_none_and_comes_back() {
    let before = State {
        text: Some("{\"node-generic-resources\": null, \"a\": 1}".to_owned()),
        record: None,
    };
    let mut done = configured(&before, &["0x1"]);
    // As if the file had been edited, so that the text of before cannot just be put back.
    if let Some(record) = &mut done.record {
        record.after.push('\n');
    }
    assert_eq!(removed(&done), before);
}
