//! `linux.namespaces`, and fields that make sense in a namespace of one's own only.

use std::collections::HashSet;

use oci_spec::runtime::LinuxNamespaceType;
use serde_json::Value;

use super::{SpecError, is_name_of, items, refuse, text};

/// The longest host name or domain name that the kernel takes (`__NEW_UTS_LEN`).
const LONGEST_NAME: usize = 64;

/// Checks the namespaces of a spec, as runc's configuration validator does.
pub(super) fn check(spec: &Value) -> Result<(), SpecError> {
    let linux = spec.get("linux").unwrap_or(&Value::Null);
    let kinds = kinds(linux)?;

    for field in ["hostname", "domainname"] {
        let name = text(spec, field);
        if name.len() > LONGEST_NAME {
            return refuse(format!(
                "{field} must have {LONGEST_NAME} bytes or fewer, and has {}",
                name.len()
            ));
        }
        if !name.is_empty() && !kinds.contains("uts") {
            return refuse(format!(
                "unable to set {field} without a private UTS namespace"
            ));
        }
    }
    let restricted = ["maskedPaths", "readonlyPaths"]
        .into_iter()
        .any(|field| !items(linux, field).is_empty());
    if restricted && !kinds.contains("mount") {
        return refuse("unable to restrict sys entries without a private MNT namespace");
    }
    if linux.get("timeOffsets").is_some() && !kinds.contains("time") {
        return refuse(
            "time namespace offsets specified, but time namespace isn't enabled in the config",
        );
    }
    check_user_namespace(linux, kinds.contains("user"))
}

fn kinds(linux: &Value) -> Result<HashSet<&str>, SpecError> {
    let mut kinds = HashSet::new();
    for namespace in items(linux, "namespaces") {
        let kind = text(namespace, "type");
        if !is_name_of::<LinuxNamespaceType>(kind) {
            return refuse(format!("namespace {kind:?} does not exist"));
        }
        if !kinds.insert(kind) {
            return refuse(format!("malformed spec file: duplicated ns {kind:?}"));
        }
    }
    Ok(kinds)
}

fn check_user_namespace(linux: &Value, user: bool) -> Result<(), SpecError> {
    let has = |field| !items(linux, field).is_empty();
    let mapped = (has("uidMappings"), has("gidMappings"));
    if !user {
        return match mapped {
            (false, false) => Ok(()),
            _ => refuse(
                "user namespace mappings specified, but user namespace isn't enabled in the config",
            ),
        };
    }
    let joins = items(linux, "namespaces")
        .iter()
        .any(|ns| text(ns, "type") == "user" && !text(ns, "path").is_empty());
    if !joins && mapped == (false, false) {
        return refuse(
            "user namespaces enabled, but no namespace path to join nor mappings to apply specified",
        );
    }
    Ok(())
}
