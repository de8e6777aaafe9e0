//! The value of a property of a systemd unit, as an annotation can have it.

use std::collections::BTreeMap;

use amd_runtime::cgroup::systemd::properties_of;

/// One input.
pub fn run(text: &str) {
    let annotation = "org.systemd.property.TimeoutStopUSec".to_owned();
    match properties_of(&BTreeMap::from([(annotation, text.to_owned())])) {
        Ok(properties) => assert_eq!(properties.len(), 1),
        Err(error) => drop((error.to_string(), error.hint())),
    }
}
