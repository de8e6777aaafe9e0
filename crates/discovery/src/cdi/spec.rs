use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::Version;

/// A CDI spec: the content of one file. Serialized it has the keys of the CDI specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// The version of the CDI specification that a consumer must know.
    pub cdi_version: Version,
    /// Always [`CDI_KIND`](crate::CDI_KIND).
    pub kind: &'static str,
    /// Annotations of every device.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<&'static str, &'static str>,
    /// The devices, never none.
    pub devices: Vec<Device>,
}

/// A name, and what a container gets that asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// The name without the kind, such as `0` or `all`.
    pub name: String,
    /// What is added to the container.
    pub container_edits: DeviceEdits,
}

/// `containerEdits` of a device. There are none that hold for all devices of a spec: a GPU for
/// graphics only does not come with `/dev/kfd`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeviceEdits {
    /// The nodes, `/dev/kfd` first.
    pub device_nodes: Vec<Node>,
    /// Groups for the container's process, sorted.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub additional_gids: Vec<u32>,
}

/// A device node by its path. Type, numbers, mode and owner are for the consumer to look up, and
/// access without `permissions` is `rwm`, as the runtime gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Node {
    /// Its path in the container.
    pub path: PathBuf,
    /// Its path for the consumer, where that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path: Option<PathBuf>,
}

impl Spec {
    /// The lowest version that has all that `devices` have.
    pub(super) fn version_needed(devices: &[Device]) -> (Version, &'static str) {
        let edits = || devices.iter().map(|device| &device.container_edits);
        let nodes = || edits().flat_map(|edits| &edits.device_nodes);
        if edits().any(|edits| !edits.additional_gids.is_empty()) {
            (Version::V0_7, "additionalGids")
        } else if nodes().any(|node| node.host_path.is_some()) {
            (Version::V0_5, "hostPath")
        } else if devices.iter().any(|device| {
            device
                .name
                .starts_with(|first: char| first.is_ascii_digit())
        }) {
            (Version::V0_5, "a device name that starts with a digit")
        } else {
            (Version::V0_3, "anything")
        }
    }
}
