//! `linux.sysctl`, which has to be written before /proc is protected.

use std::collections::BTreeMap;

use super::error::{MountError, Result, Step};
use crate::verified_proc::VerifiedProc;

/// Writes kernel parameters of this process's namespaces.
///
/// # Errors
/// Names the first that cannot be written.
pub fn write(parameters: &BTreeMap<String, String>) -> Result<()> {
    if parameters.is_empty() {
        return Ok(());
    }
    // Parameters are those of the process that writes, whosever procfs it is.
    let proc = VerifiedProc::open().step(|| "open /proc".into())?;
    for (key, value) in parameters {
        let file = format!("sys/{}", key.replace('.', "/"));
        proc.write(&file, value).map_err(|err| {
            // runc's words, by which docker finds its exit code.
            MountError::Refused(format!("write sysctl key {key}: {err}"))
        })?;
    }
    Ok(())
}
