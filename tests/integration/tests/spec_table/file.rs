//! The file itself.

use serde_json::json;

use super::row::{Row, Verdict, good, text};
use super::runner::check;

/// The good spec with more text before its first field.
fn begins_with(fields: &str) -> String {
    let spec = good().args(&["sh", "-c", "hostname; pwd"]);
    let text = String::from_utf8_lossy(&text(&spec)).into_owned();
    text.replacen('{', &format!("{{{fields},"), 1)
}

/// The good spec with more text behind its last field.
fn ends_with(fields: &str) -> String {
    let spec = good().args(&["sh", "-c", "hostname; pwd"]);
    let text = String::from_utf8_lossy(&text(&spec)).into_owned();
    format!("{},{fields}}}", text.strip_suffix('}').unwrap_or(&text))
}

fn nested(depth: usize) -> String {
    ends_with(&format!(
        "\"unknown\": {}{}",
        "[".repeat(depth),
        "]".repeat(depth)
    ))
}

#[test]
fn what_is_no_spec_is_refused() {
    let whole = text(&good());
    check(&[
        Row::file("an empty file", "").refused("not valid JSON"),
        Row::file("blanks", " \n\t").refused("not valid JSON"),
        Row::file("null", "null").refused("config cannot be null"),
        Row::file("an array", "[]").refused("must hold a JSON object"),
        Row::file("a number", "5").refused("must hold a JSON object"),
        Row::file("a string", "\"spec\"").refused("must hold a JSON object"),
        Row::file("an empty object", "{}").refused("root must be specified"),
        Row::file("half a file", &whole[..whole.len() / 2]).refused("not valid JSON"),
        Row::file("a byte order mark", [b"\xef\xbb\xbf", &whole[..]].concat())
            .refused("not valid JSON"),
        Row::file("a comment", [b"// spec\n", &whole[..]].concat()).refused("not valid JSON"),
        Row::file("a comma too many", ends_with("")).refused("not valid JSON"),
        Row::file("a name without quotes", begins_with("hostname: \"x\""))
            .refused("not valid JSON"),
        Row::file("a number that is none", ends_with("\"x\": NaN")).refused("not valid JSON"),
        Row::file("two specs", [&whole[..], &whole[..]].concat())
            .refused("trailing characters")
            .but_runc(
                Verdict::Accepted,
                "runc reads the first value and no further: what follows may be half of a file \
                 that was written over",
            ),
    ]);
}

#[test]
fn a_spec_may_be_huge_and_nested() {
    check(&[
        Row::file("unknown, 100 deep", nested(100)),
        Row::file("unknown, 1000 deep", nested(1000))
            .refused("recursion limit")
            .but_runc(
                Verdict::Accepted,
                "no field is more than ten deep; a parser without a limit would overflow its stack",
            ),
        Row::file("unknown, 100000 deep", nested(100_000)).refused("recursion limit"),
        Row::edit("an annotation of 1 MB", |spec| {
            spec.annotation("large", &"x".repeat(1 << 20))
        }),
    ]);
}

#[test]
fn of_a_name_that_comes_twice_the_later_value_counts() {
    check(&[
        Row::file("hostname twice", ends_with("\"hostname\": \"later\"")).prints("later"),
        Row::file(
            "a section twice",
            ends_with("\"process\": {\"cwd\": \"/tmp\"}"),
        )
        .prints("test\n/tmp"),
        Row::file(
            "a section again as null",
            ends_with("\"hooks\": {}, \"hooks\": null"),
        ),
        Row::file(
            "args twice",
            ends_with("\"process\": {\"args\": [\"echo\", \"later\"]}"),
        )
        .prints("later"),
    ]);
}

#[test]
fn the_case_of_names_and_unknown_names_do_not_matter() {
    check(&[
        Row::file("HostName", ends_with("\"HostName\": \"later\"")).prints("later"),
        Row::file("PROCESS", ends_with("\"PROCESS\": {\"CWD\": \"/tmp\"}")).prints("/tmp"),
        Row::set("/unknown", json!({"a": [null, 5]})),
        Row::set("/process/unknown", json!(5)),
        Row::set("/process/user/unknown", json!(5)),
        Row::set("/linux/unknown", json!([])),
        Row::set("/linux/resources/unknown", json!("x")),
        Row::push(
            "/mounts",
            json!({"destination": "/tmp", "type": "tmpfs", "unknown": true}),
        ),
        Row::set("/root/unknown", json!(null)),
        Row::set("/uidMappings", json!("of another runtime")),
    ]);
}

#[test]
fn bytes_that_are_not_utf_8_are_replaced() {
    let mut config = ends_with("\"annotations\": {\"a\": \"@\"}").into_bytes();
    let position = config.iter().rposition(|byte| *byte == b'@');
    if let Some(at) = position {
        config[at] = 0xff;
    }
    check(&[
        Row::file("a byte ff in an annotation", config),
        Row::file(
            "half of a surrogate pair",
            ends_with("\"annotations\": {\"a\": \"\\ud800\"}"),
        )
        .refused("not valid JSON")
        .but_runc(
            Verdict::Accepted,
            "it is no character; runc makes U+FFFD of it",
        ),
    ]);
}
