use proptest::prelude::*;

use super::*;

const PATH: &str = "/usr/bin/amd-container-runtime";

fn state(text: &str) -> State {
    State {
        text: Some(text.to_owned()),
        record: None,
    }
}

fn settings() -> Settings {
    Settings {
        name: "amd".to_owned(),
        path: PATH.to_owned(),
        default: false,
        cdi: false,
    }
}

fn configured(state: &State, settings: &Settings) -> State {
    apply(state, &Request::Configure(settings.clone())).unwrap()
}

fn removal() -> Request {
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

fn value(state: &State) -> Value {
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
        ..settings()
    };
    for (before, after) in [
        ("{}", json!({"debug": true})),
        ("{\"runtimes\": {}}", json!({"runtimes": {}, "debug": true})),
        (
            "{\"default-runtime\": \"nvidia\"}",
            json!({"default-runtime": "nvidia", "debug": true}),
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
        ..settings()
    };
    let before = state("{}");
    assert!(!needs_restart(&before, &configured(&before, &settings())));
    assert!(needs_restart(&before, &configured(&before, &cdi)));
}

/// Blanks as they may stand between two tokens.
fn blank() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(String::new()),
        3 => Just(" ".to_owned()),
        1 => Just("\n    ".to_owned()),
        1 => Just("\r\n\t".to_owned()),
    ]
}

/// A JSON value as somebody may have written it.
fn written() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("null".to_owned()),
        "-?[1-9][0-9]{0,40}(\\.[0-9]{1,3})?([eE][+-]?[0-9])?",
        "[a-zü ]{0,8}".prop_map(|text| format!("\"{text}\\n\\u00e9\"")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            object(inner.clone(), false),
            (blank(), prop::collection::vec(inner, 0..3)).prop_map(|(blank, items)| format!(
                "[{blank}{}]",
                items.join(&format!(",{blank}"))
            )),
        ]
    })
}

/// An object of `values`, under keys that dockerd gives a meaning if `root`.
fn object(
    values: impl Strategy<Value = String> + 'static,
    root: bool,
) -> impl Strategy<Value = String> {
    let mut keys = vec!["a", "b", "log-opts", "nvidia", "\\u0061md2"];
    if root {
        keys.push("dns");
    }
    let count = keys.len();
    let keys = Just(keys).prop_shuffle();
    let members = prop::collection::vec((values, blank(), blank()), 0..=count);
    (keys, members, blank(), blank()).prop_map(|(keys, members, first, last)| {
        let members: Vec<_> = keys
            .iter()
            .zip(members)
            .map(|(key, (value, before, after))| {
                format!("{before}\"{key}\"{after}:{before}{value}{after}")
            })
            .collect();
        format!("{{{first}{}{last}}}", members.join(","))
    })
}

/// A `daemon.json` that dockerd accepts, with or without what we edit.
fn daemon_json() -> impl Strategy<Value = Option<String>> {
    let known = (
        prop::option::of(object(written(), false)),
        prop::option::of(object(
            prop_oneof![Just("{\"path\": \"x\"}".to_owned())],
            false,
        )),
        prop::option::of(prop_oneof![Just("\"runc\""), Just("\"nvidia\"")]),
        prop::option::of(any::<bool>()),
    );
    let file = (object(written(), true), known, blank(), blank()).prop_map(
        |(rest, (features, runtimes, default, cdi), before, after)| {
            let mut members = Vec::new();
            members.extend(runtimes.map(|v| format!("\"runtimes\":{v}")));
            members.extend(default.map(|v| format!("{before}\"default-runtime\": {v}")));
            members.extend(match (features, cdi) {
                (_, Some(cdi)) => Some(format!("\"features\": {{ \"cdi\" :{cdi}}}")),
                (Some(features), None) => Some(format!("\"features\":{features}")),
                (None, None) => None,
            });
            let inner = rest[1..rest.len() - 1].trim_end();
            if !inner.trim().is_empty() {
                members.push(inner.to_owned());
            }
            let body = if members.is_empty() {
                after.clone()
            } else {
                members.join(",")
            };
            format!("{before}{{{body}{before}}}{after}")
        },
    );
    prop_oneof![1 => Just(None), 1 => blank().prop_map(Some), 10 => file.prop_map(Some)]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    (any::<bool>(), any::<bool>()).prop_map(|(default, cdi)| Settings {
        default,
        cdi,
        ..settings()
    })
}

proptest! {
    #[test]
    fn removal_after_configure_gives_back_the_bytes(text in daemon_json(), settings in any_settings()) {
        let before = State { text, record: None };
        let done = configured(&before, &settings);
        prop_assert_eq!(apply(&done, &removal()).unwrap(), before);
    }

    #[test]
    fn edit_by_edit_too(text in daemon_json(), settings in any_settings()) {
        let before = State { text, record: None };
        let mut done = configured(&before, &settings);
        // As if the file had been edited, so that the text of before cannot just be put back.
        if let Some(record) = &mut done.record {
            record.after.push('\n');
        }
        prop_assert_eq!(apply(&done, &removal()).unwrap(), before);
    }

    #[test]
    fn configuring_twice_is_configuring_once(text in daemon_json(), settings in any_settings()) {
        let once = configured(&State { text, record: None }, &settings);
        prop_assert_eq!(configured(&once, &settings), once);
    }

    #[test]
    fn configure_changes_what_it_says_alone(text in daemon_json(), settings in any_settings()) {
        let parse = |text: &str| match text.trim() {
            "" => json!({}),
            text => serde_json::from_str::<Value>(text).unwrap(),
        };
        let mut expected = parse(text.as_deref().unwrap_or_default());
        expected["runtimes"]["amd"] = json!({"path": PATH, "runtimeArgs": []});
        if settings.default {
            expected["default-runtime"] = json!("amd");
        }
        if settings.cdi {
            expected["features"]["cdi"] = json!(true);
        }
        let done = configured(&State { text, record: None }, &settings);
        prop_assert_eq!(value(&done), expected);
    }
}
