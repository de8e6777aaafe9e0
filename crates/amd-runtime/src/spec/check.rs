//! What is refused before anything is touched: values from which libcontainer would
//! build a wrong container, panic, or reach outside of it.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use super::SpecError;

fn refuse<T>(message: impl Into<String>) -> Result<T, SpecError> {
    Err(SpecError::Field(message.into()))
}

/// Checks a whole spec for `create` and `run`.
///
/// # Errors
/// The first field that is wrong.
pub fn check(spec: &Value) -> Result<(), SpecError> {
    if !spec.is_object() {
        return refuse("config.json must hold a JSON object");
    }
    check_version(spec)?;
    match spec.pointer("/root/path").and_then(Value::as_str) {
        None | Some("") => return refuse("root.path must not be empty"),
        Some(path) if path.contains('\0') => return refuse("root.path has a NUL byte"),
        Some(_) => {}
    }
    check_process(spec.get("process").unwrap_or(&Value::Null))?;
    check_namespaces(spec)?;
    check_hooks(spec)
}

/// Checks a process object: that of a spec, or the file of `exec --process`.
///
/// # Errors
/// The first field that is wrong, in runc's words (its `validateProcessSpec`).
pub fn check_process(process: &Value) -> Result<(), SpecError> {
    if !process.is_object() {
        return refuse("process property must not be empty");
    }
    match process.get("cwd").and_then(Value::as_str) {
        None | Some("") => return refuse("Cwd property must not be empty"),
        Some(cwd) if !Path::new(cwd).is_absolute() => {
            return refuse(format!("Cwd must be an absolute path, and is {cwd:?}"));
        }
        Some(_) => {}
    }
    if process
        .get("selinuxLabel")
        .and_then(Value::as_str)
        .is_some_and(|label| !label.is_empty())
    {
        // libcontainer would start the process without the label, and nobody would know.
        return refuse("process.selinuxLabel: this runtime cannot set SELinux labels");
    }
    let args = strings(process, "args")?;
    if args.is_empty() {
        return refuse("args must not be empty");
    }
    if let Some(arg) = args.iter().find(|arg| arg.contains('\0')) {
        return refuse(format!("process.args: {arg:?} has a NUL byte"));
    }
    strings(process, "env")?
        .into_iter()
        .try_for_each(check_variable)
}

fn check_variable(entry: &str) -> Result<(), SpecError> {
    match entry.split_once('=') {
        None => refuse(format!(
            "invalid environment variable {entry:?}: missing '='"
        )),
        Some(("", _)) => refuse(format!(
            "invalid environment variable {entry:?}: name cannot be empty"
        )),
        Some(_) if entry.contains('\0') => refuse(format!(
            "invalid environment variable {entry:?}: contains nul byte (\\x00)"
        )),
        Some(_) => Ok(()),
    }
}

/// The strings of an array that may be missing or null.
fn strings<'a>(parent: &'a Value, key: &str) -> Result<Vec<&'a str>, SpecError> {
    match parent.get(key) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| match item.as_str() {
                Some(text) => Ok(text),
                None => refuse(format!(
                    "process.{key} must hold strings only, and has {item}"
                )),
            })
            .collect(),
        Some(other) => refuse(format!("process.{key} must be an array, and is {other}")),
    }
}

fn check_version(spec: &Value) -> Result<(), SpecError> {
    match spec.get("ociVersion") {
        None | Some(Value::Null) => Ok(()),
        Some(Value::String(version)) if version.is_empty() || version.starts_with("1.") => Ok(()),
        Some(other) => refuse(format!("ociVersion {other} is not supported, only 1.x is")),
    }
}

fn check_namespaces(spec: &Value) -> Result<(), SpecError> {
    let mut seen = HashSet::new();
    let namespaces = spec.pointer("/linux/namespaces").and_then(Value::as_array);
    for namespace in namespaces.into_iter().flatten() {
        if let Some(kind) = namespace.get("type").and_then(Value::as_str)
            && !seen.insert(kind)
        {
            return refuse(format!("malformed spec file: duplicated ns {kind:?}"));
        }
    }
    Ok(())
}

fn check_hooks(spec: &Value) -> Result<(), SpecError> {
    let Some(hooks) = spec.get("hooks").and_then(Value::as_object) else {
        return Ok(());
    };
    for (kind, hooks) in hooks {
        for hook in hooks.as_array().into_iter().flatten() {
            let path = hook.get("path").and_then(Value::as_str).unwrap_or_default();
            if !Path::new(path).is_absolute() {
                return refuse(format!(
                    "hooks.{kind}: path must be absolute, and is {path:?}"
                ));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Value {
        json!({
            "ociVersion": "1.0.2",
            "root": {"path": "rootfs"},
            "process": {"cwd": "/", "args": ["sh"], "env": ["PATH=/bin"]},
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]},
        })
    }

    fn with(pointer: &str, value: Value) -> Result<(), SpecError> {
        let mut spec = good();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = spec.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Value::Null => parent.remove(key),
            value => parent.insert(key.into(), value),
        };
        check(&spec)
    }

    #[test]
    fn a_plain_spec_is_taken() {
        check(&good()).unwrap();
    }

    #[test]
    fn fields_that_may_be_missing_may_be_missing() {
        for pointer in ["/ociVersion", "/process/env", "/linux/namespaces", "/linux"] {
            with(pointer, Value::Null).unwrap();
        }
    }

    #[test]
    fn bad_fields_are_refused_by_name() {
        for (pointer, value, says) in [
            ("/ociVersion", json!("2.0.0"), "ociVersion"),
            ("/ociVersion", json!(1), "ociVersion"),
            ("/root", Value::Null, "root.path"),
            ("/root/path", json!(""), "root.path"),
            (
                "/process",
                Value::Null,
                "process property must not be empty",
            ),
            ("/process", json!([]), "process property must not be empty"),
            (
                "/process/cwd",
                Value::Null,
                "Cwd property must not be empty",
            ),
            ("/process/cwd", json!("tmp"), "Cwd must be an absolute path"),
            (
                "/process/selinuxLabel",
                json!("system_u:system_r:container_t:s0"),
                "selinuxLabel",
            ),
            ("/process/args", Value::Null, "args must not be empty"),
            ("/process/args", json!([]), "args must not be empty"),
            ("/process/args", json!([1]), "process.args"),
            ("/process/args", json!("sh"), "process.args"),
            ("/process/args", json!(["a\0b"]), "NUL"),
            ("/process/env", json!(["=x"]), "name cannot be empty"),
            ("/process/env", json!(["X"]), "missing '='"),
            ("/process/env", json!(["A=\0"]), "nul byte"),
            ("/process/env", json!([null]), "process.env"),
            (
                "/linux/namespaces",
                json!([{"type": "pid"}, {"type": "pid"}]),
                "duplicated ns",
            ),
            (
                "/hooks",
                json!({"prestart": [{"path": "bin/true"}]}),
                "hooks.prestart",
            ),
        ] {
            let message = with(pointer, value.clone()).unwrap_err().to_string();
            assert!(message.contains(says), "{pointer} = {value}: {message}");
        }
    }
}
