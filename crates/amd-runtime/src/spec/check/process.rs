//! `process`: runc's `validateProcessSpec`, and what it finds out later.

use std::fs;
use std::path::Path;

use oci_spec::runtime::PosixRlimitType;
use serde_json::Value;

use super::{SpecError, is_name_of, items, refuse, text, texts};
use crate::process::affinity::Affinity;
use crate::process::scheduling::{check_io_priority, check_scheduler};
use crate::process::selinux;

/// Checks a process whose fields have their types.
pub(super) fn check(process: &Value) -> Result<(), SpecError> {
    if !process.is_object() {
        return refuse("process property must not be empty");
    }
    match text(process, "cwd") {
        "" => return refuse("Cwd property must not be empty"),
        cwd if !Path::new(cwd).is_absolute() => {
            return refuse(format!("Cwd must be an absolute path, and is {cwd:?}"));
        }
        _ => {}
    }
    if items(process, "args").is_empty() {
        return refuse("args must not be empty");
    }
    check_user(process.get("user").unwrap_or(&Value::Null))?;
    if !text(process, "apparmorProfile").is_empty() && !has_apparmor() {
        return refuse("apparmor: config provided but apparmor not supported");
    }
    if !text(process, "selinuxLabel").is_empty() && !selinux::is_enabled() {
        return refuse(
            "selinux label is specified in config, but selinux is disabled or not supported",
        );
    }
    texts(process, "env").try_for_each(check_variable)?;
    items(process, "rlimits")
        .iter()
        .try_for_each(check_rlimit)?;
    if let Some(score) = process.get("oomScoreAdj").and_then(Value::as_i64)
        && !(-1000..=1000).contains(&score)
    {
        return refuse(format!(
            "process.oomScoreAdj must be from -1000 to 1000, and is {score}"
        ));
    }
    Affinity::of(process)?;
    process.get("scheduler").map_or(Ok(()), check_scheduler)?;
    process.get("ioPriority").map_or(Ok(()), check_io_priority)
}

/// Whether the kernel confines processes by AppArmor (`/sys/module/apparmor`).
fn has_apparmor() -> bool {
    fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"))
}

/// To some calls an id above this is negative, and one of -1 means "as it is".
fn check_user(user: &Value) -> Result<(), SpecError> {
    const HIGHEST: u64 = i32::MAX as u64;
    let ids = ["uid", "gid"].into_iter().filter_map(|key| user.get(key));
    for id in ids.chain(items(user, "additionalGids")) {
        if id.as_u64().is_some_and(|id| id > HIGHEST) {
            return refuse(format!(
                "process.user: uids and gids must be in range 0-{HIGHEST}, and one is {id}"
            ));
        }
    }
    Ok(())
}

fn check_variable(entry: &str) -> Result<(), SpecError> {
    match entry.split_once('=') {
        None => refuse(format!(
            "invalid environment variable {entry:?}: missing '='"
        )),
        Some(("", _)) => refuse(format!(
            "invalid environment variable {entry:?}: name cannot be empty"
        )),
        Some(_) => Ok(()),
    }
}

fn check_rlimit(rlimit: &Value) -> Result<(), SpecError> {
    let kind = text(rlimit, "type");
    if !is_name_of::<PosixRlimitType>(kind) {
        return refuse(format!("invalid rlimit type {kind:?}"));
    }
    let limit = |key| rlimit.get(key).and_then(Value::as_u64).unwrap_or_default();
    let (soft, hard) = (limit("soft"), limit("hard"));
    if soft > hard {
        return refuse(format!(
            "{kind}: the soft limit {soft} is above the hard limit {hard}"
        ));
    }
    Ok(())
}
