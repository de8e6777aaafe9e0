//! The resctrl groups of a container (OCI runtime spec, config-linux.md, "IntelRdt").
//!
//! libcontainer makes them as it builds a container, and removes them in a `delete` of its own, which
//! is never called here. A machine has few, so that those that stay would be missed by the next.

use libcontainer::container::State;
use libcontainer::process::intel_rdt::cleanup_intel_rdt;
use serde_json::Value;

use crate::error::chain;
use crate::state::{ContainerDir, Record};

/// Whether a container of this spec is put into such a group.
pub(super) fn is_asked_for(spec: &Value) -> bool {
    spec["linux"]["intelRdt"].is_object()
}

/// Removes the groups that were made for a container, by what libcontainer has on record of them.
/// One that stays is logged, as it keeps nobody from deleting the container.
pub(super) fn remove_groups(dir: &ContainerDir, record: &Record) {
    if !record.has_resctrl_group {
        return;
    }
    // A create that was killed before it had made any.
    let Ok(state) = State::load(&dir.libcontainer_dir()) else {
        return;
    };
    let removed = cleanup_intel_rdt(
        state.intel_rdt_dir.as_deref(),
        state.intel_rdt_monitoring_dir.as_deref(),
        state.clean_up_intel_rdt_subdirectory,
        dir.id().as_str(),
    );
    if let Err(err) = removed {
        tracing::warn!("container {}: {}", dir.id(), chain(&err));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use libcontainer::container::ContainerStatus;

    use super::*;
    use crate::id::ContainerId;
    use crate::state::StateRoot;

    #[test]
    fn the_groups_that_libcontainer_made_are_removed_and_no_others() {
        let tmp = tempfile::tempdir().unwrap();
        let id = ContainerId::new("c").unwrap();
        let dir = StateRoot::new(tmp.path().join("root")).container(&id);
        fs::create_dir_all(dir.libcontainer_dir()).unwrap();
        let groups = ["made", "other"].map(|name| tmp.path().join(name));
        for group in &groups {
            fs::create_dir(group).unwrap();
        }
        let mut state = State::new("c", ContainerStatus::Created, None, tmp.path().to_owned());
        state.intel_rdt_dir = Some(groups[0].clone());
        state.save(&dir.libcontainer_dir()).unwrap();
        let left = || groups.each_ref().map(|group| group.exists());

        let mut record = Record::for_tests("c");
        remove_groups(&dir, &record);
        assert_eq!(left(), [true, true]);
        record.has_resctrl_group = true;
        remove_groups(&dir, &record);
        assert_eq!(left(), [false, true]);
        // A delete that is repeated.
        remove_groups(&dir, &record);
    }
}
