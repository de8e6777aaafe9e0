//! What is refused before anything is touched: values from which no container can be
//! built, or a wrong one. runc is the model for what is refused, warned about and taken,
//! and its words are used where it has some.

mod cgroup;
mod devices;
mod hooks;
mod linux;
mod mounts;
mod namespaces;
mod process;
mod seccomp;
mod sysctl;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde_json::Value;

use super::SpecError;
use super::fields::{PROCESS, SPEC};
use super::shape::conform;

/// Checks a whole spec for `create` and `run`, and brings it into one form: without nulls,
/// its names spelled as in the OCI runtime spec.
///
/// # Errors
/// The first field that is wrong.
pub fn check(spec: &mut Value) -> Result<(), SpecError> {
    if spec.is_null() {
        return refuse("config cannot be null");
    }
    if !spec.is_object() {
        return refuse("config.json must hold a JSON object");
    }
    conform(spec, SPEC, "")?;
    check_version(spec)?;
    check_root(spec)?;
    process::check(spec.get("process").unwrap_or(&Value::Null))?;
    mounts::check(spec)?;
    namespaces::check(spec)?;
    hooks::check(spec)?;
    let linux = spec.get("linux").unwrap_or(&Value::Null);
    devices::check(linux)?;
    cgroup::check(linux)?;
    sysctl::check(linux)?;
    seccomp::check(linux)?;
    linux::check(linux)
}

/// Checks a process object, the file of `exec --process`, and brings it into one form as
/// [`check`] does.
///
/// # Errors
/// The first field that is wrong.
pub fn check_process(process: &mut Value) -> Result<(), SpecError> {
    if process.is_object() {
        conform(process, PROCESS, "process")?;
    }
    process::check(process)
}

fn refuse<T>(message: impl Into<String>) -> Result<T, SpecError> {
    Err(SpecError::Field(message.into()))
}

fn check_version(spec: &Value) -> Result<(), SpecError> {
    match text(spec, "ociVersion") {
        version if version.is_empty() || version.starts_with("1.") => Ok(()),
        other => refuse(format!(
            "ociVersion {other:?} is not supported, only 1.x is"
        )),
    }
}

fn check_root(spec: &Value) -> Result<(), SpecError> {
    match spec.get("root") {
        None => refuse("root must be specified"),
        Some(root) if text(root, "path").is_empty() => refuse("root.path must not be empty"),
        Some(_) => Ok(()),
    }
}

/// The string at `key`, empty where there is none. Its type is checked already.
fn text<'a>(parent: &'a Value, key: &str) -> &'a str {
    parent.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The elements at `key`, none where there is no array. Its type is checked already.
fn items<'a>(parent: &'a Value, key: &str) -> &'a [Value] {
    parent
        .get(key)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// The strings at `key`.
fn texts<'a>(parent: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    items(parent, key).iter().filter_map(Value::as_str)
}

/// Whether `name` is one of the names of `T`, an enumeration of the OCI runtime spec.
fn is_name_of<'n, T: Deserialize<'n>>(name: &'n str) -> bool {
    let name: StrDeserializer<'n, ValueError> = name.into_deserializer();
    T::deserialize(name).is_ok()
}
