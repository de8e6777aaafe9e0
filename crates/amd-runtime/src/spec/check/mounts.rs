//! `mounts`.

use std::path::Path;

use serde_json::Value;

use super::{SpecError, items, refuse, text, texts};

/// Checks the mounts of a spec, as runc's `mountsStrict` and `mountsWarn` do.
pub(super) fn check(spec: &Value) -> Result<(), SpecError> {
    items(spec, "mounts").iter().try_for_each(check_mount)
}

fn check_mount(mount: &Value) -> Result<(), SpecError> {
    let destination = text(mount, "destination");
    if destination.is_empty() {
        return refuse("invalid mount: its destination must not be empty");
    }
    if !Path::new(destination).is_absolute() {
        tracing::warn!(
            "mount destination {destination} is not absolute: it is taken relative to /"
        );
    }
    let (uids, gids) = (items(mount, "uidMappings"), items(mount, "gidMappings"));
    if uids.is_empty() && gids.is_empty() {
        return Ok(());
    }
    if !texts(mount, "options").any(|option| matches!(option, "bind" | "rbind")) {
        return refuse(format!(
            "invalid mount {destination}: id-mapped mounts are only supported for bind-mounts"
        ));
    }
    if uids.is_empty() || gids.is_empty() {
        return refuse(format!(
            "invalid mount {destination}: id-mapped mounts must have both uid and gid mappings \
             specified"
        ));
    }
    Ok(())
}
