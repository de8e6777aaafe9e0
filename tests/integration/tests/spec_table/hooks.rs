//! `hooks`.

use serde_json::{Value, json};

use super::row::{Row, Verdict};
use super::runner::check;

fn hook(fields: Value) -> Row {
    Row::push("/hooks/createRuntime", fields)
}

#[test]
fn hooks() {
    check(&[
        Row::set("/hooks", json!({})),
        Row::set("/hooks", json!({"prestart": [], "poststop": null})),
        Row::set("/hooks", json!({"no-such-point": [{"path": 5}]})),
        hook(json!({"path": "/bin/true"})),
        hook(json!({"path": "/bin/true", "args": [], "env": []})),
        hook(json!({"path": "/bin/true", "args": ["true", ""], "timeout": 30})),
        hook(json!({"path": "/bin/../bin/true"})),
        hook(json!({"path": "/bin/false"})).refused_late("hook"),
        hook(json!({"path": "/no/such/hook"})).refused_late("hook"),
        hook(json!({})).refused("path must be absolute"),
        hook(json!(null)).refused("path must be absolute"),
        hook(json!({"path": ""})).refused("path must be absolute"),
        hook(json!({"path": "bin/true"})).refused("path must be absolute"),
        hook(json!({"path": "../bin/true"})).refused("path must be absolute"),
        hook(json!({"path": "/bin/true\0"})).refused("hooks.createRuntime[0].path has a NUL byte"),
        hook(json!({"path": "/bin/true", "args": ["a\0"]})).refused("has a NUL byte"),
        hook(json!({"path": "/bin/true", "timeout": 0})).refused("must be above 0"),
        hook(json!({"path": "/bin/true", "timeout": -1})).refused("must be above 0"),
        Row::push("/hooks/poststop", json!({"path": "x"}))
            .refused("path must be absolute")
            .but_runc(
                Verdict::Accepted,
                "the spec wants an absolute path; runc only finds out at the end",
            ),
    ]);
}
