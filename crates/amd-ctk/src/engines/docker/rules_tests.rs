use super::*;

pub const PATH: &str = "/usr/bin/amd-container-runtime";

fn state(text: &str) -> State {
    State {
        text: Some(text.to_owned()),
        record: None,
    }
}

pub fn settings() -> Settings {
    Settings {
        name: "amd".to_owned(),
        path: PATH.to_owned(),
        default: false,
        cdi: false,
        swarm: Vec::new(),
    }
}

pub fn configured(state: &State, settings: &Settings) -> State {
    apply(state, &Request::Configure(settings.clone())).unwrap()
}

pub fn removal() -> Request {
    Request::Remove {
        name: "amd".to_owned(),
        path: PATH.to_owned(),
    }
}

fn unset() -> Request {
    Request::UnsetDefault {
        name: "amd".to_owned(),
    }
}

fn text(state: &State) -> &str {
    state.text.as_deref().unwrap()
}

pub fn value(state: &State) -> Value {
    serde_json::from_str(text(state)).unwrap()
}

/// As [`State`] after somebody else added a key to the file.
fn edited_by_hand(mut state: State) -> State {
    state.text = Some(set(text(&state), &["debug"], &json!(true)).unwrap());
    state
}

#[test]
fn the_runtime_is_written_as_dockerds_manual_has_it() {
    let done = configured(&state("{}"), &settings());
    assert_eq!(
        value(&done),
        json!({"runtimes": {"amd": {"path": PATH, "runtimeArgs": []}}})
    );
}

#[test]
fn default_and_cdi_are_written_when_asked_for() {
    let all = Settings {
        default: true,
        cdi: true,
        swarm: Vec::new(),
        ..settings()
    };
    let done = value(&configured(
        &state("{\"features\": {\"buildkit\": true}}"),
        &all,
    ));
    assert_eq!(done["default-runtime"], "amd");
    assert_eq!(done["features"], json!({"buildkit": true, "cdi": true}));
}

#[test]
fn a_file_that_did_not_exist_is_gone_again_after_removal() {
    let nothing = State {
        text: None,
        record: None,
    };
    let done = configured(&nothing, &settings());
    assert_eq!(apply(&done, &removal()).unwrap(), nothing);
}

#[test]
fn a_file_that_we_made_stays_if_somebody_wrote_to_it_since() {
    let nothing = State {
        text: None,
        record: None,
    };
    let done = edited_by_hand(configured(&nothing, &settings()));
    let left = apply(&done, &removal()).unwrap();
    assert_eq!(value(&left), json!({"debug": true}));
}

#[test]
fn removal_keeps_what_others_wrote_since_and_what_was_before() {
    let all = Settings {
        default: true,
        cdi: true,
        swarm: Vec::new(),
        ..settings()
    };
    for (before, after) in [
        ("{}", json!({"debug": true})),
        ("{\"runtimes\": {}}", json!({"runtimes": {}, "debug": true})),
        (
            "{\"default-runtime\": \"nvidia\", \"runtimes\": {\"nvidia\": {\"path\": \"n\"}}}",
            json!({
                "default-runtime": "nvidia", "runtimes": {"nvidia": {"path": "n"}}, "debug": true
            }),
        ),
        (
            "{\"features\": {\"cdi\": true}}",
            json!({"features": {"cdi": true}, "debug": true}),
        ),
        (
            "{\"features\": {\"cdi\": false, \"x\": true}}",
            json!({"features": {"cdi": false, "x": true}, "debug": true}),
        ),
    ] {
        let done = edited_by_hand(configured(&state(before), &all));
        let left = apply(&done, &removal()).unwrap();
        assert_eq!(value(&left), after, "{before}");
        assert_eq!(left.record, None);
    }
}

#[test]
fn edits_between_two_configures_survive_the_removal() {
    let first = edited_by_hand(configured(&state("{\"a\": 1}"), &settings()));
    let all = Settings {
        default: true,
        ..settings()
    };
    let left = apply(&configured(&first, &all), &removal()).unwrap();
    assert_eq!(text(&left), "{\"a\": 1, \"debug\": true}");
}

#[test]
fn removal_without_a_record_takes_the_runtime_and_its_default_alone() {
    let hand = json!({
        "features": {"cdi": true},
        "default-runtime": "amd",
        "runtimes": {"amd": {"path": "amd-container-runtime", "args": []}, "nvidia": {"path": "n"}},
    });
    let left = apply(&state(&hand.to_string()), &removal()).unwrap();
    assert_eq!(
        value(&left),
        json!({"features": {"cdi": true}, "runtimes": {"nvidia": {"path": "n"}}})
    );
}

#[test]
fn removal_of_what_is_not_there_changes_nothing() {
    for before in [
        "",
        "{}",
        "{\"runtimes\": {\"x\": {\"path\": \"x\"}}, \"default-runtime\": \"x\"}",
    ] {
        assert_eq!(apply(&state(before), &removal()).unwrap(), state(before));
    }
}

#[test]
fn unsetting_removes_our_default_and_nobody_elses() {
    for (before, after) in [
        ("{\"default-runtime\": \"amd\", \"a\": 1}", "{\"a\": 1}"),
        (
            "{\"default-runtime\": \"nvidia\"}",
            "{\"default-runtime\": \"nvidia\"}",
        ),
        ("{}", "{}"),
    ] {
        assert_eq!(apply(&state(before), &unset()).unwrap(), state(after));
    }
}

#[test]
fn unsetting_restores_no_default_and_removal_then_does() {
    let before = state("{\"default-runtime\": \"nvidia\"}");
    let all = Settings {
        default: true,
        ..settings()
    };
    let done = apply(&configured(&before, &all), &unset()).unwrap();
    assert_eq!(value(&done).get("default-runtime"), None);
    assert_eq!(apply(&done, &removal()).unwrap(), before);
}

/// A host whose default was `old`, whose file then was edited by hand until it had no such
/// runtime.
fn default_taken_over(old: &str) -> State {
    let before = json!({"default-runtime": old, "runtimes": {old: {"path": "n"}}});
    let all = Settings {
        default: true,
        ..settings()
    };
    let mut done = configured(&state(&before.to_string()), &all);
    done.text = Some(remove(text(&done), &["runtimes", old], "{}").unwrap());
    done
}

#[test]
fn removal_restores_no_default_that_dockerd_does_not_know_any_more() {
    let done = default_taken_over("nvidia");
    let left = apply(&done, &removal()).unwrap();
    assert_eq!(value(&left), json!({"runtimes": {}}));
    assert_eq!(lost_default(&done, &left).as_deref(), Some("nvidia"));
    // Nor after another configure, which has the file of before from what there is now.
    let moved = Settings {
        path: "/opt/amd".to_owned(),
        ..settings()
    };
    let left = apply(&configured(&done, &moved), &removal()).unwrap();
    assert_eq!(value(&left), json!({"runtimes": {}}));
}

#[test]
fn removal_restores_a_default_that_dockerd_brings() {
    for name in ["runc", "io.containerd.runc.v2"] {
        let done = default_taken_over(name);
        let left = apply(&done, &removal()).unwrap();
        assert_eq!(value(&left)["default-runtime"], name);
        assert_eq!(lost_default(&done, &left), None);
    }
}

#[test]
fn removal_after_somebody_wrote_the_file_anew_takes_nothing_of_theirs() {
    let all = Settings {
        cdi: true,
        swarm: vec!["AMD_GPU=0x1".to_owned()],
        ..settings()
    };
    let theirs = json!({
        "features": {"cdi": true}, "node-generic-resources": ["AMD_GPU=0x1"], "debug": true
    });
    let mut done = configured(&state("{}"), &all);
    done.text = Some(theirs.to_string());
    let left = apply(&done, &removal()).unwrap();
    assert_eq!(left, state(&theirs.to_string()));
    let left = apply(&configured(&done, &settings()), &removal()).unwrap();
    assert_eq!(left, state(&theirs.to_string()));
}

#[test]
fn two_runtimes_of_ours_are_removed_one_by_one() {
    let before = state("{\n  \"runtimes\": {}\n}");
    let second = Settings {
        name: "amd2".to_owned(),
        ..settings()
    };
    let both = configured(&configured(&before, &settings()), &second);
    let one = apply(&both, &removal()).unwrap();
    assert_eq!(value(&one)["runtimes"].as_object().unwrap().len(), 1);
    let none = apply(
        &one,
        &Request::Remove {
            name: "amd2".to_owned(),
            path: PATH.to_owned(),
        },
    );
    assert_eq!(none.unwrap(), before);
}

#[test]
fn a_runtime_of_that_name_that_is_not_ours_is_an_error_with_a_hint() {
    let text = "{\n  \"runtimes\": {\"amd\": {\"path\": \"/opt/wrapper\"}}\n}";
    for request in [Request::Configure(settings()), removal()] {
        let fault = apply(&state(text), &request).unwrap_err();
        assert_eq!(
            fault.to_string(),
            "line 2, column 23: the runtime \"amd\" is there already and runs /opt/wrapper"
        );
        assert!(fault.hint.unwrap().contains("--runtime-name"));
    }
}

#[test]
fn an_entry_that_runs_our_program_with_the_users_arguments_keeps_them() {
    let text = format!(
        "{{\"runtimes\": {{\"amd\": {{\"path\": \"{PATH}\", \"runtimeArgs\": [\"--debug\"]}}}}}}"
    );
    assert_eq!(configured(&state(&text), &settings()), state(&text));
}

#[test]
fn a_program_that_moved_is_updated() {
    let done = configured(&state("{}"), &settings());
    let moved = Settings {
        path: "/opt/amd".to_owned(),
        ..settings()
    };
    let done = configured(&done, &moved);
    assert_eq!(value(&done)["runtimes"]["amd"]["path"], "/opt/amd");
    assert_eq!(apply(&done, &removal()).unwrap(), state("{}"));
}

#[test]
fn wrong_types_are_errors_at_their_place() {
    let all = Settings {
        default: true,
        cdi: true,
        swarm: Vec::new(),
        ..settings()
    };
    for (text, message) in [
        (
            "{\"runtimes\": []}",
            "line 1, column 14: \"runtimes\" is a list, not an object",
        ),
        (
            "{\"runtimes\": {\"amd\": 1}}",
            "line 1, column 22: the runtime \"amd\" is not an object",
        ),
        (
            "{\"features\": 1}",
            "line 1, column 14: \"features\" is a number, not an object",
        ),
        (
            "{\"default-runtime\": {}}",
            "line 1, column 21: \"default-runtime\" is not a string",
        ),
    ] {
        let fault = apply(&state(text), &Request::Configure(all.clone())).unwrap_err();
        assert_eq!(fault.to_string(), message);
    }
}

#[test]
fn only_a_change_of_cdi_needs_a_restart() {
    let cdi = Settings {
        cdi: true,
        swarm: Vec::new(),
        ..settings()
    };
    let before = state("{}");
    assert!(!needs_restart(&before, &configured(&before, &settings())));
    assert!(needs_restart(&before, &configured(&before, &cdi)));
}
