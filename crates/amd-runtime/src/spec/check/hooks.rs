//! `hooks`.

use std::path::Path;

use serde_json::Value;

use super::{SpecError, items, refuse, text};

const POINTS: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// Checks the hooks of a spec (OCI runtime-spec, config.md, "POSIX-platform Hooks").
pub(super) fn check(spec: &Value) -> Result<(), SpecError> {
    let hooks = spec.get("hooks").unwrap_or(&Value::Null);
    POINTS.into_iter().try_for_each(|point| {
        let mut hooks = items(hooks, point).iter();
        hooks.try_for_each(|hook| check_hook(point, hook))
    })
}

fn check_hook(point: &str, hook: &Value) -> Result<(), SpecError> {
    let path = text(hook, "path");
    if !Path::new(path).is_absolute() {
        return refuse(format!(
            "hooks.{point}: path must be absolute, and is {path:?}"
        ));
    }
    match hook.get("timeout").and_then(Value::as_i64) {
        Some(timeout) if timeout <= 0 => refuse(format!(
            "hooks.{point}: the timeout of {path} must be above 0, and is {timeout}"
        )),
        _ => Ok(()),
    }
}
