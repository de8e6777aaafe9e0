//! The AppArmor profile and the personality of a process.

use nix::errno::Errno;
use serde_json::Value;

use super::ProcessError;
use crate::spec::SpecError;

/// The execution domain of `linux.personality` (personality(2)): its number.
///
/// # Errors
/// Where the domain is not one of the spec's.
pub fn personality(linux: &Value) -> Result<Option<u64>, SpecError> {
    let personality = &linux["personality"];
    if personality.is_null() {
        return Ok(None);
    }
    if personality["flags"]
        .as_array()
        .is_some_and(|flags| !flags.is_empty())
    {
        tracing::warn!("linux.personality.flags are not supported and ignored");
    }
    match personality["domain"].as_str() {
        Some("LINUX") => Ok(Some(0)),
        Some("LINUX32") => Ok(Some(0x0008)),
        _ => Err(SpecError::Field(format!(
            "invalid personality domain {}",
            personality["domain"]
        ))),
    }
}

/// Sets the execution domain of this process.
///
/// # Errors
/// As personality(2).
pub fn set_personality(domain: u64) -> Result<(), ProcessError> {
    #[allow(unsafe_code)]
    // SAFETY: takes a number.
    let result = unsafe { libc::personality(domain) };
    Errno::result(result)
        .map(drop)
        .map_err(ProcessError::system("unable to set the personality"))
}

/// Lets AppArmor put the next program of this process under `profile`. libcontainer does
/// it on a procfs of its own, and not on what the container has at /proc.
///
/// # Errors
/// Where AppArmor is not there or does not know the profile.
pub fn set_apparmor(profile: &str) -> Result<(), ProcessError> {
    libcontainer::apparmor::apply_profile(profile).map_err(|err| {
        let why = crate::chain(&err);
        ProcessError::Refused(format!(
            "unable to apply apparmor profile {profile:?}: {why}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn execution_domains_are_those_of_the_spec() {
        let of = |value: Value| personality(&json!({"personality": value})).ok();
        assert_eq!(of(json!(null)), Some(None));
        assert_eq!(of(json!({"domain": "LINUX"})), Some(Some(0)));
        assert_eq!(of(json!({"domain": "LINUX32", "flags": []})), Some(Some(8)));
        assert_eq!(of(json!({"domain": "BSD"})), None);
    }
}
