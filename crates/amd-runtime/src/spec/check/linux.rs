//! Single fields of `linux`.

use oci_spec::runtime::LinuxPersonalityDomain;
use serde_json::Value;

use super::{SpecError, is_name_of, items, refuse, text};
use crate::process::scheduling::check_memory_policy;

/// The longest name of a network interface, with the NUL after it (`IFNAMSIZ`).
const IFNAMSIZ: usize = 16;

/// Checks what the other topics leave.
pub(super) fn check(linux: &Value) -> Result<(), SpecError> {
    check_propagation(text(linux, "rootfsPropagation"))?;
    if let Some(personality) = linux.get("personality") {
        let domain = text(personality, "domain");
        if !is_name_of::<LinuxPersonalityDomain>(domain) {
            return refuse(format!("invalid personality domain {domain}"));
        }
    }
    linux
        .get("memoryPolicy")
        .map_or(Ok(()), check_memory_policy)?;
    check_net_devices(linux)
}

fn check_propagation(propagation: &str) -> Result<(), SpecError> {
    match propagation {
        "" | "private" | "rprivate" | "slave" | "rslave" | "shared" | "rshared" | "unbindable"
        | "runbindable" => Ok(()),
        _ => refuse(format!("rootfsPropagation={propagation} is not supported")),
    }
}

fn check_net_devices(linux: &Value) -> Result<(), SpecError> {
    let Some(devices) = linux.get("netDevices").and_then(Value::as_object) else {
        return Ok(());
    };
    let has_network = items(linux, "namespaces")
        .iter()
        .any(|ns| text(ns, "type") == "network");
    if !devices.is_empty() && !has_network {
        return refuse("unable to move network devices without a NET namespace");
    }
    for (name, device) in devices {
        let renamed = Some(text(device, "name")).filter(|name| !name.is_empty());
        for name in [Some(name.as_str()), renamed].into_iter().flatten() {
            if !is_interface_name(name) {
                return refuse(format!("invalid network device name {name:?}"));
            }
        }
    }
    Ok(())
}

/// The kernel's `dev_valid_name`.
fn is_interface_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() < IFNAMSIZ
        && name != "."
        && name != ".."
        && !name.contains(|c: char| c == '/' || c == ':' || c.is_ascii_whitespace())
}
