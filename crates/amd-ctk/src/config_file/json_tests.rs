use serde_json::json;

use super::*;

fn amd() -> serde_json::Value {
    json!({"path": "/usr/bin/a", "runtimeArgs": []})
}

#[test]
fn a_value_is_added_in_the_layout_of_the_file() {
    let two = "{\n  \"runtimes\": {\n    \"amd\": 1\n  }\n}";
    for (before, after) in [
        ("", &*format!("{two}\n")),
        (" \n", &format!("{two}\n")),
        ("{}", two),
        ("{ }\n", &format!("{two}\n")),
        ("{\"a\":1}", "{\"a\":1, \"runtimes\": {\"amd\":1}}"),
        ("{\"runtimes\":{}}", "{\"runtimes\":{\"amd\":1}}"),
        (
            "{\n\t\"a\": 1\n}",
            "{\n\t\"a\": 1,\n\t\"runtimes\": {\n\t\t\"amd\": 1\n\t}\n}",
        ),
        (
            "{\n    \"runtimes\": {\n        \"x\": {}\n    },\n    \"b\": 1\n}",
            "{\n    \"runtimes\": {\n        \"x\": {},\n        \"amd\": 1\n    },\n    \"b\": 1\n}",
        ),
        (
            "{\n    \"runtimes\": {}\n}",
            "{\n    \"runtimes\": {\n        \"amd\": 1\n    }\n}",
        ),
    ] {
        assert_eq!(
            set(before, &["runtimes", "amd"], &json!(1)).unwrap(),
            after,
            "{before:?}"
        );
    }
}

#[test]
fn numbers_unknown_keys_and_escapes_keep_their_bytes() {
    let before = "{\"n\": 123456789012345678901234567890.10e+5, \"\\u0061\\/\": \"\\ud83d\\ude00 ü\",\n \"z\": [ 1 ,2 ]}";
    let after = set(before, &["runtimes", "amd"], &amd()).unwrap();
    assert!(
        after.starts_with(before.strip_suffix('}').unwrap()),
        "{after}"
    );
    assert_eq!(
        remove(&after, &["runtimes", "amd"], before).unwrap(),
        before
    );
}

#[test]
fn a_value_that_is_there_already_is_not_written_anew() {
    let text = "{\"runtimes\" :{\"amd\" : {\"runtimeArgs\":[ ], \"path\":\"/usr/bin/a\"}}}";
    assert_eq!(set(text, &["runtimes", "amd"], &amd()).unwrap(), text);
}

#[test]
fn another_value_is_replaced_in_its_place() {
    let after = set("{\"a\": 1, \"b\": 2}", &["a"], &json!("x")).unwrap();
    assert_eq!(after, "{\"a\": \"x\", \"b\": 2}");
}

#[test]
fn a_removed_property_takes_one_comma_with_it() {
    for (before, after) in [
        ("{\"amd\": 1, \"b\": 2}", "{\"b\": 2}"),
        ("{\"b\": 2, \"amd\": 1}", "{\"b\": 2}"),
        ("{\"a\": 2, \"amd\": 1, \"c\": 3}", "{\"a\": 2, \"c\": 3}"),
        ("{\"amd\": 1}", "{}"),
        ("{\"b\": 2}", "{\"b\": 2}"),
    ] {
        assert_eq!(remove(before, &["amd"], "{}").unwrap(), after, "{before}");
    }
}

#[test]
fn objects_that_are_left_empty_go_unless_they_were_there_before() {
    let text = "{\"runtimes\": {\"amd\": 1}}";
    for (origin, after) in [
        ("{}", "{}"),
        ("", "{}"),
        ("{\n}", "{\n}"),
        ("{\"runtimes\": { }}", "{\"runtimes\": { }}"),
        ("{\"runtimes\": {\"x\": 1}}", "{\"runtimes\": {}}"),
    ] {
        assert_eq!(
            remove(text, &["runtimes", "amd"], origin).unwrap(),
            after,
            "{origin:?}"
        );
    }
}

#[test]
fn what_is_not_strict_json_is_an_error_at_its_place() {
    for (text, message) in [
        ("{\n  // no\n}", "line 2, column 3: key must be a string"),
        ("{\"a\": 1,}", "line 1, column 9: key must be a string"),
        ("{\"a\": 1", "line 1, column 7: EOF while parsing an object"),
        ("{\"a\": 01}", "line 1, column 8: invalid number"),
        ("[1]", "line 1, column 1: the file is not a JSON object"),
        ("null", "line 1, column 1: the file is not a JSON object"),
        (
            "{\"a\": 1, \"a\": 2}",
            "line 1, column 10: the key \"a\" is there twice",
        ),
        (
            "{\"x\": [{\"a\": 1,\n\"a\": 2}]}",
            "line 2, column 1: the key \"a\" is there twice",
        ),
        ("{} {}", "line 1, column 4: trailing characters"),
        ("\u{feff}{}", "line 1, column 1: expected value"),
    ] {
        assert_eq!(
            Document::parse(text).unwrap_err().to_string(),
            message,
            "{text}"
        );
    }
}

#[test]
fn a_comment_is_named_as_the_fault() {
    let fault = Document::parse("{\n  // no\n}").unwrap_err();
    assert_eq!(fault.hint.as_deref(), Some("JSON has no comments"));
}

#[test]
fn a_list_where_an_object_belongs_is_an_error_at_its_place() {
    let text = "{\n  \"runtimes\": []\n}";
    let fault = set(text, &["runtimes", "amd"], &amd()).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "line 2, column 15: \"runtimes\" is a list, not an object"
    );
    assert!(remove(text, &["runtimes", "amd"], "{}").is_err());
}

#[test]
fn null_is_nothing_and_comes_back() {
    for (before, after) in [
        ("{\"runtimes\": null}", "{\"runtimes\": {\"amd\":1}}"),
        (
            "{\n  \"runtimes\": null,\n  \"b\": 2\n}",
            "{\n  \"runtimes\": {\n    \"amd\": 1\n  },\n  \"b\": 2\n}",
        ),
    ] {
        assert_eq!(
            Document::parse(before).unwrap().get(&["runtimes", "amd"]),
            Ok(None)
        );
        assert_eq!(set(before, &["runtimes", "amd"], &json!(1)).unwrap(), after);
        assert_eq!(remove(before, &["runtimes", "amd"], "{}").unwrap(), before);
        assert_eq!(remove(after, &["runtimes", "amd"], before).unwrap(), before);
    }
}
