//! `MS_*` flags as the attributes of a mount: pure functions.
//!
//! What they mean is what mount(2) makes of them (`do_mount` in fs/namespace.c), with which
//! runc mounts: access times are one value of three, and `relatime` is the default.

use super::error::{MountError, Result};
use crate::mount_api::MountAttr;

/// Flags of which mount(2) and mount_setattr(2) have an attribute each.
const PLAIN: [(u64, u64); 6] = [
    (libc::MS_RDONLY, libc::MOUNT_ATTR_RDONLY),
    (libc::MS_NOSUID, libc::MOUNT_ATTR_NOSUID),
    (libc::MS_NODEV, libc::MOUNT_ATTR_NODEV),
    (libc::MS_NOEXEC, libc::MOUNT_ATTR_NOEXEC),
    (libc::MS_NODIRATIME, libc::MOUNT_ATTR_NODIRATIME),
    (libc::MS_NOSYMFOLLOW, libc::MOUNT_ATTR_NOSYMFOLLOW),
];
const ATIME_VALUES: u64 = libc::MS_NOATIME | libc::MS_RELATIME | libc::MS_STRICTATIME;
const ATIME: u64 = ATIME_VALUES | libc::MS_NODIRATIME;
/// What the kernel locks when a mount gets into the mount namespace of another user
/// namespace (`MNT_LOCK_*`).
const LOCKABLE: u64 = libc::MS_RDONLY | libc::MS_NODEV | libc::MS_NOEXEC | libc::MS_NOSUID | ATIME;

/// The attributes of a new mount with these flags.
pub fn of_new(flags: u64) -> u64 {
    plain(flags) | atime(flags)
}

/// The change that gives a bind mount the flags `set`, and takes all others of its source
/// away. `None` where no flag is spoken of, set or cleared: then it stays as it is.
pub fn of_bind(set: u64, cleared: u64) -> Option<MountAttr> {
    let set = set & !(libc::MS_BIND | libc::MS_REC | libc::MS_REMOUNT);
    if set == 0 && cleared == 0 {
        return None;
    }
    Some(exactly(set, set & ATIME == 0))
}

/// The same for a mount whose source has `existing` flags that are locked: they are kept.
///
/// # Errors
/// Where a locked flag was to be cleared, or access times were to be other ones.
pub fn of_locked_bind(set: u64, cleared: u64, existing: u64) -> Result<MountAttr> {
    let conflict = existing & cleared & LOCKABLE;
    if conflict != 0 {
        return Err(MountError::Refused(format!(
            "cannot clear locked flags {}: operation not permitted",
            names(conflict)
        )));
    }
    if set & ATIME != 0 && set & ATIME != existing & ATIME {
        return Err(MountError::Refused(format!(
            "cannot change locked atime flags {}: operation not permitted",
            names(existing & ATIME)
        )));
    }
    Ok(exactly(set | existing & LOCKABLE, false))
}

/// include/linux/statfs.h; libc has it for glibc alone.
const ST_RELATIME: libc::c_ulong = 0x1000;

/// The flags of a mount that can be locked, from what statfs(2) says of it.
pub fn of_statfs(flags: u64) -> u64 {
    let known = [
        (libc::ST_RDONLY, libc::MS_RDONLY),
        (libc::ST_NOSUID, libc::MS_NOSUID),
        (libc::ST_NODEV, libc::MS_NODEV),
        (libc::ST_NOEXEC, libc::MS_NOEXEC),
        (libc::ST_NOATIME, libc::MS_NOATIME),
        (libc::ST_NODIRATIME, libc::MS_NODIRATIME),
        (ST_RELATIME, libc::MS_RELATIME),
    ];
    let found = known
        .iter()
        .filter(|(statfs, _)| flags & statfs != 0)
        .fold(0, |all, (_, flag)| all | flag);
    // There is no bit for it: it is what neither of the others is.
    if found & ATIME_VALUES == 0 {
        found | libc::MS_STRICTATIME
    } else {
        found
    }
}

fn exactly(flags: u64, keep_atime: bool) -> MountAttr {
    let set = plain(flags);
    let mut clear = PLAIN.iter().fold(0, |all, (_, attribute)| all | attribute) & !set;
    if keep_atime {
        clear &= !libc::MOUNT_ATTR_NODIRATIME;
        return MountAttr {
            set,
            clear,
            ..MountAttr::default()
        };
    }
    MountAttr {
        set: set | atime(flags),
        clear: clear | libc::MOUNT_ATTR__ATIME,
        ..MountAttr::default()
    }
}

fn plain(flags: u64) -> u64 {
    PLAIN
        .iter()
        .filter(|(flag, _)| flags & flag != 0)
        .fold(0, |all, (_, attribute)| all | attribute)
}

fn atime(flags: u64) -> u64 {
    if flags & libc::MS_STRICTATIME != 0 {
        libc::MOUNT_ATTR_STRICTATIME
    } else if flags & libc::MS_NOATIME != 0 {
        libc::MOUNT_ATTR_NOATIME
    } else {
        libc::MOUNT_ATTR_RELATIME
    }
}

fn names(flags: u64) -> String {
    let known = [
        (libc::MS_RDONLY, "ro"),
        (libc::MS_NOSUID, "nosuid"),
        (libc::MS_NODEV, "nodev"),
        (libc::MS_NOEXEC, "noexec"),
        (libc::MS_NOATIME, "noatime"),
        (libc::MS_NODIRATIME, "nodiratime"),
        (libc::MS_RELATIME, "relatime"),
        (libc::MS_STRICTATIME, "strictatime"),
    ];
    let named = known.iter().filter(|(flag, _)| flags & flag != 0);
    named.map(|&(_, name)| name).collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests {
    use libc::{
        MOUNT_ATTR__ATIME, MOUNT_ATTR_NOATIME, MOUNT_ATTR_NODEV, MOUNT_ATTR_NODIRATIME,
        MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY, MOUNT_ATTR_STRICTATIME, MS_BIND, MS_NOATIME,
        MS_NODEV, MS_NODIRATIME, MS_NOSUID, MS_RDONLY, MS_REC, MS_RELATIME, MS_STRICTATIME,
    };

    use super::*;

    #[test]
    fn a_new_mount_has_what_mount_2_gives_it() {
        for (flags, attributes) in [
            (0, 0),
            (MS_RDONLY | MS_NOSUID, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID),
            (MS_NOATIME, MOUNT_ATTR_NOATIME),
            (MS_RELATIME, 0),
            (MS_NOATIME | MS_RELATIME, MOUNT_ATTR_NOATIME),
            (MS_STRICTATIME | MS_NOATIME, MOUNT_ATTR_STRICTATIME),
            (MS_NODIRATIME, MOUNT_ATTR_NODIRATIME),
        ] {
            assert_eq!(of_new(flags), attributes, "{flags:#x}");
        }
    }

    #[test]
    fn a_bind_mount_of_which_nothing_is_said_stays_as_its_source_is() {
        assert_eq!(of_bind(MS_BIND | MS_REC, 0), None);
    }

    #[test]
    fn a_bind_mount_loses_the_flags_that_were_not_asked_for() {
        let ro = of_bind(MS_BIND | MS_RDONLY, 0).unwrap();
        assert_eq!(ro.set, MOUNT_ATTR_RDONLY);
        assert_ne!(ro.clear & MOUNT_ATTR_NOSUID, 0);
        // As `rw`, and nothing else, does.
        let rw = of_bind(MS_BIND, MS_RDONLY).unwrap();
        assert_eq!(rw.set, 0);
        assert_ne!(rw.clear & MOUNT_ATTR_RDONLY, 0);
    }

    #[test]
    fn access_times_stay_unless_they_are_spoken_of() {
        let kept = of_bind(MS_RDONLY, 0).unwrap();
        assert_eq!(kept.clear & (MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME), 0);
        let changed = of_bind(MS_NODIRATIME, 0).unwrap();
        assert_eq!(changed.set, MOUNT_ATTR_NODIRATIME);
        assert_eq!(changed.clear & MOUNT_ATTR__ATIME, MOUNT_ATTR__ATIME);
    }

    #[test]
    fn locked_flags_are_kept_or_it_is_an_error() {
        let locked = MS_NODEV | MS_RELATIME;
        let kept = of_locked_bind(MS_RDONLY, 0, locked).unwrap();
        assert_eq!(kept.set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
        for (set, cleared, says) in [
            (
                0,
                MS_NODEV,
                "cannot clear locked flags nodev: operation not permitted",
            ),
            (
                MS_NOATIME,
                0,
                "cannot change locked atime flags relatime: operation not permitted",
            ),
        ] {
            let message = of_locked_bind(set, cleared, locked)
                .unwrap_err()
                .to_string();
            assert_eq!(message, says);
        }
    }

    #[test]
    fn a_mount_without_a_word_on_access_times_is_strict() {
        assert_eq!(of_statfs(0), MS_STRICTATIME);
        let flags = libc::ST_NOSUID | libc::ST_RELATIME;
        assert_eq!(of_statfs(flags), MS_NOSUID | MS_RELATIME);
    }
}
