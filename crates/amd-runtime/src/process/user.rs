//! The user and the groups of a process.

use std::collections::HashSet;

use nix::errno::Errno;
use oci_spec::runtime::User;

use super::ProcessError;
use super::capabilities::keep_over_setuid;

/// No id: to setresuid(2) it means "leave as it is".
const NOBODY_AT_ALL: u32 = u32::MAX;

/// Refuses ids that are none, before anything is built. libcontainer passes them on to
/// setresuid(2), where the container then stays root.
///
/// # Errors
/// Names the id.
pub fn check(user: &User) -> Result<(), ProcessError> {
    let ids = [("uid", user.uid()), ("gid", user.gid())];
    let groups = user.additional_gids().iter().flatten();
    let all = ids
        .into_iter()
        .chain(groups.map(|gid| ("additionalGids", *gid)));
    for (field, id) in all {
        if id == NOBODY_AT_ALL {
            return Err(ProcessError::Refused(format!(
                "process.user.{field}: {id} is not an id"
            )));
        }
    }
    Ok(())
}

/// What becomes of the supplementary groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    /// They become those of the spec.
    Set,
    /// They do, unless the user namespace forbids setgroups(2), as one does that a plain
    /// user made (user_namespaces(7)): then they stay, as with runc.
    SetIfAllowed,
    /// They stay those of the caller, on purpose: podman's `--group-add keep-groups`.
    Keep,
}

/// Makes this process one of `user`. What is permitted stays so; [`CapabilitySets::apply`]
/// then sets the capabilities.
///
/// The groups become those of the spec, none where it has none: libcontainer leaves those
/// of the engine then.
///
/// # Errors
/// Where an id is not mapped, or the kernel refuses.
///
/// [`CapabilitySets::apply`]: super::capabilities::CapabilitySets::apply
pub fn become_user(user: &User, groups: Groups) -> Result<(), ProcessError> {
    check(user)?;
    let keep = |keep: bool| {
        keep_over_setuid(keep).map_err(|err| {
            let errno = err.raw_os_error().map_or(Errno::EIO, Errno::from_raw);
            ProcessError::system("unable to set keep caps")(errno)
        })
    };
    keep(true)?;
    let gids = once_each(user.additional_gids().as_deref().unwrap_or_default());
    match groups {
        Groups::Keep => {}
        Groups::Set => set_groups(&gids)?,
        Groups::SetIfAllowed => match set_groups(&gids) {
            Err(ProcessError::System {
                errno: Errno::EPERM,
                ..
            }) if gids.is_empty() => {}
            Err(ProcessError::System {
                errno: Errno::EPERM,
                ..
            }) => tracing::warn!("the user namespace does not allow setgroups: the groups stay"),
            set => set?,
        },
    }
    let (uid, gid) = (user.uid(), user.gid());
    set_gid(gid).map_err(|errno| match errno {
        Errno::EINVAL => ProcessError::Refused(format!(
            "cannot setgid to unmapped gid {gid} in user namespace"
        )),
        errno => ProcessError::system("unable to set the group")(errno),
    })?;
    set_uid(uid).map_err(|errno| match errno {
        Errno::EINVAL => ProcessError::Refused(format!(
            "cannot setuid to unmapped uid {uid} in user namespace"
        )),
        errno => ProcessError::system("unable to set the user")(errno),
    })?;
    keep(false)
}

/// Engines name a group twice, as the first and as an additional one; the process has it once, as
/// with runc.
fn once_each(gids: &[u32]) -> Vec<u32> {
    let mut seen = HashSet::new();
    gids.iter()
        .copied()
        .filter(|gid| seen.insert(*gid))
        .collect()
}

/// Makes this process root of the user namespace that it has entered.
///
/// # Errors
/// Where the namespace has no root.
pub fn become_root() -> Result<(), ProcessError> {
    let failed = |errno| {
        ProcessError::system("failed to become root in the container's user namespace")(errno)
    };
    set_gid(0).and_then(|()| set_uid(0)).map_err(failed)
}

fn set_groups(groups: &[u32]) -> Result<(), ProcessError> {
    #[allow(unsafe_code)]
    // SAFETY: the pointer and the length are those of the slice, which the kernel reads.
    let result = unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) };
    Errno::result(result)
        .map(drop)
        .map_err(ProcessError::system(format!(
            "unable to set the groups {groups:?}"
        )))
}

fn set_gid(gid: u32) -> nix::Result<()> {
    #[allow(unsafe_code)]
    // SAFETY: takes numbers. Not the C library's function: it would tell other threads.
    let result = unsafe { libc::syscall(libc::SYS_setresgid, gid, gid, gid) };
    Errno::result(result).map(drop)
}

fn set_uid(uid: u32) -> nix::Result<()> {
    #[allow(unsafe_code)]
    // SAFETY: as above.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, uid, uid, uid) };
    Errno::result(result).map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_group_that_is_named_twice_is_one_group() {
        assert_eq!(once_each(&[0, 77, 0, 88, 77]), [0, 77, 88]);
    }

    #[test]
    fn an_id_that_is_none_is_refused() {
        let user = |value: Value| serde_json::from_value::<User>(value).unwrap();
        assert!(check(&user(json!({"uid": 1000, "gid": 4_294_967_294_u32}))).is_ok());
        for bad in [
            json!({"uid": u32::MAX, "gid": 0}),
            json!({"uid": 0, "gid": u32::MAX}),
            json!({"uid": 0, "gid": 0, "additionalGids": [1, u32::MAX]}),
        ] {
            let message = check(&user(bad)).unwrap_err().to_string();
            assert!(message.contains("4294967295 is not an id"), "{message}");
        }
    }
}
