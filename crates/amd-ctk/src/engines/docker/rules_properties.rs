//! What holds for any daemon.json.

use proptest::prelude::*;

use super::tests::{PATH, configured, removal, settings, value};
use super::*;

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
        prop::option::of(prop_oneof![
            4 => object(written(), false),
            1 => Just("null".to_owned()),
        ]),
        prop::option::of(prop_oneof![
            4 => object(Just("{\"path\": \"x\"}".to_owned()), false),
            1 => Just("null".to_owned()),
        ]),
        prop::option::of(prop_oneof![
            Just("\"runc\""),
            Just("\"nvidia\""),
            Just("null")
        ]),
        prop::option::of(any::<bool>()),
    );
    let file = (object(written(), true), known, blank(), blank()).prop_map(
        |(rest, (features, runtimes, default, cdi), before, after)| {
            let mut members = Vec::new();
            // dockerd does not start with a default that it does not know.
            let nvidia = runtimes
                .as_deref()
                .is_some_and(|v: &str| v.contains("\"nvidia\""));
            let default = default.filter(|default| nvidia || *default != "\"nvidia\"");
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
        swarm: Vec::new(),
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
