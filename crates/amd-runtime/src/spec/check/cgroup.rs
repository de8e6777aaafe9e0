//! `linux.cgroupsPath` and limits.

use std::path::Path;

use libcgroups::common::{CgroupSetup, get_cgroup_setup};
use serde_json::Value;

use super::super::clean_path;
use super::{SpecError, refuse, text};

/// Checks the cgroup of a container. What a limit can be is for the kernel to say.
pub(super) fn check(linux: &Value) -> Result<(), SpecError> {
    let path = text(linux, "cgroupsPath");
    if !path.is_empty() && matches!(clean_path(path).to_str(), Some("" | "/")) {
        return refuse(format!(
            "linux.cgroupsPath {path:?} is the root of the cgroups: a container cannot be there"
        ));
    }
    for field in ["kernel", "kernelTCP"] {
        if linux
            .pointer(&format!("/resources/memory/{field}"))
            .is_some()
        {
            tracing::warn!("Kernel memory settings are ignored: linux.resources.memory.{field}");
        }
    }
    let unified = linux
        .pointer("/resources/unified")
        .and_then(Value::as_object);
    if unified.is_some_and(|unified| !unified.is_empty())
        && !matches!(get_cgroup_setup(), Ok(CgroupSetup::Unified))
    {
        return refuse("invalid configuration: cannot use unified on cgroup v1");
    }
    for key in unified.into_iter().flat_map(|entries| entries.keys()) {
        if key.is_empty()
            || Path::new(key)
                .file_name()
                .is_none_or(|name| name != key.as_str())
        {
            return refuse(format!(
                "unified resource {key:?} must be a file name (no slashes)"
            ));
        }
    }
    Ok(())
}
