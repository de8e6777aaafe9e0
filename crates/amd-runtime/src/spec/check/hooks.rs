//! `hooks`.

use std::path::Path;

use serde_json::Value;

use super::{SpecError, items, refuse, text};

/// Checks the hooks of a spec (OCI runtime-spec, config.md, "POSIX-platform Hooks").
pub(super) fn check(spec: &Value) -> Result<(), SpecError> {
    let Some(hooks) = spec.get("hooks").and_then(Value::as_object) else {
        return Ok(());
    };
    for kind in hooks.keys() {
        for hook in items(&spec["hooks"], kind) {
            check_hook(kind, hook)?;
        }
    }
    Ok(())
}

fn check_hook(kind: &str, hook: &Value) -> Result<(), SpecError> {
    let path = text(hook, "path");
    if !Path::new(path).is_absolute() {
        return refuse(format!(
            "hooks.{kind}: path must be absolute, and is {path:?}"
        ));
    }
    match hook.get("timeout").and_then(Value::as_i64) {
        Some(timeout) if timeout <= 0 => refuse(format!(
            "hooks.{kind}: the timeout of {path} must be above 0, and is {timeout}"
        )),
        _ => Ok(()),
    }
}
