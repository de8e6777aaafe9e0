//! What a CDI spec offers, whoever wrote it.

use std::collections::HashSet;
use std::path::PathBuf;

use discovery::cdi::{Version, is_class_name, is_device_name, is_vendor_name};
use serde_json::Value;

/// A CDI spec as far as devices, their nodes and their groups go. What is not there or is
/// of the wrong type is left out: [`faults`](super::faults) finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// `cdiVersion`, as it is written.
    pub version: String,
    /// `kind`, such as `amd.com/gpu`.
    pub kind: String,
    /// The devices in the order of the file.
    pub devices: Vec<OfferedDevice>,
}

/// A device of a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedDevice {
    /// Its name without the kind.
    pub name: String,
    /// The nodes that a container gets, those of the whole spec first.
    pub nodes: Vec<OfferedNode>,
    /// The groups that its process joins.
    pub additional_gids: Vec<u64>,
    own_edits_are_empty: bool,
}

/// A device node of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedNode {
    /// Its path in the container.
    pub path: PathBuf,
    /// Its path on the host, where that is another.
    pub host_path: Option<PathBuf>,
    /// `c`, `u`, `b` or `p`, if the spec says.
    pub node_type: Option<String>,
    /// Major and minor, if the spec says either; 0 for the other.
    pub numbers: Option<(i64, i64)>,
    permissions: String,
}

impl OfferedNode {
    /// Where the consumer finds the node.
    pub fn on_host(&self) -> &PathBuf {
        self.host_path.as_ref().unwrap_or(&self.path)
    }
}

impl Document {
    /// Reads what there is to read.
    pub fn of(value: &Value) -> Self {
        let common = &value["containerEdits"];
        let devices = value["devices"].as_array();
        Self {
            version: text(&value["cdiVersion"]),
            kind: text(&value["kind"]),
            devices: devices
                .into_iter()
                .flatten()
                .map(|device| OfferedDevice::of(common, device))
                .collect(),
        }
    }

    /// The qualified names of the devices, such as `amd.com/gpu=0`.
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.devices
            .iter()
            .map(|device| format!("{}={}", self.kind, device.name))
    }
}

impl OfferedDevice {
    fn of(common: &Value, device: &Value) -> Self {
        let own = &device["containerEdits"];
        let both = || [common, own].into_iter();
        let list = |key| {
            both()
                .filter_map(move |edits| edits[key].as_array())
                .flatten()
        };
        Self {
            name: text(&device["name"]),
            nodes: list("deviceNodes").map(OfferedNode::of).collect(),
            additional_gids: list("additionalGids").filter_map(Value::as_u64).collect(),
            own_edits_are_empty: is_empty(own),
        }
    }
}

impl OfferedNode {
    fn of(node: &Value) -> Self {
        let path = |key: &str| Some(text(&node[key])).filter(|path| !path.is_empty());
        let number = |key: &str| node[key].as_i64();
        let (major, minor) = (number("major"), number("minor"));
        Self {
            path: path("path").unwrap_or_default().into(),
            host_path: path("hostPath").map(PathBuf::from),
            node_type: path("type"),
            numbers: (major.is_some() || minor.is_some())
                .then(|| (major.unwrap_or(0), minor.unwrap_or(0))),
            permissions: text(&node["permissions"]),
        }
    }
}

/// Tells `fault` the place and the reason of whatever consumers refuse in a document whose
/// fields are those of its version.
pub(super) fn check(document: &Document, version: Version, fault: &mut dyn FnMut(&str, String)) {
    check_kind(&document.kind, version, fault);
    if document.devices.is_empty() {
        fault("devices", "a spec without a device is invalid".to_owned());
    }
    let mut names = HashSet::new();
    for (index, device) in document.devices.iter().enumerate() {
        let place = format!("devices[{index}]");
        let name = &device.name;
        if !is_device_name(name) {
            fault(
                &format!("{place}.name"),
                format!(
                    "{name:?} is no device name: letters, digits and `_-.:`, with a letter or \
                     digit at both ends"
                ),
            );
        } else if name.starts_with(|first: char| first.is_ascii_digit()) && version < Version::V0_5
        {
            let message = format!(
                "CDI {version} does not have device names that start with a digit, as {name:?}: \
                 they came with 0.5.0"
            );
            fault(&format!("{place}.name"), message);
        }
        if !names.insert(name) {
            let message = format!("{name:?} is the name of another device of this spec");
            fault(&format!("{place}.name"), message);
        }
        if device.own_edits_are_empty {
            let message = "a device without edits is invalid".to_owned();
            fault(&format!("{place}.containerEdits"), message);
        }
        for node in &device.nodes {
            check_node(&format!("{place}.containerEdits.deviceNodes"), node, fault);
        }
    }
}

fn check_kind(kind: &str, version: Version, fault: &mut dyn FnMut(&str, String)) {
    let (vendor, class) = kind.split_once('/').unwrap_or((kind, ""));
    if !is_vendor_name(vendor) || !is_class_name(class) {
        fault(
            "kind",
            format!("{kind:?} is no kind: vendor/class, as amd.com/gpu"),
        );
    } else if class.contains('.') && version < Version::V0_6 {
        let message = format!(
            "CDI {version} does not have dots in the class, as in {kind:?}: they came with 0.6.0"
        );
        fault("kind", message);
    }
}

fn check_node(place: &str, node: &OfferedNode, fault: &mut dyn FnMut(&str, String)) {
    let path = node.path.display();
    if node.path.as_os_str().is_empty() {
        fault(place, "a node has an empty path".to_owned());
    }
    if let Some(node_type) = &node.node_type
        && !["b", "c", "u", "p"].contains(&node_type.as_str())
    {
        fault(
            place,
            format!("{path}: {node_type:?} is no type of a node: b, c, u or p"),
        );
    }
    let permissions = &node.permissions;
    if permissions != "none" && permissions.chars().any(|char| !"rwm".contains(char)) {
        fault(
            place,
            format!("{path}: {permissions:?} are no permissions: of r, w and m"),
        );
    }
}

/// Whether edits change nothing.
fn is_empty(edits: &Value) -> bool {
    let empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        _ => false,
    };
    edits
        .as_object()
        .is_none_or(|edits| edits.values().all(empty))
}

/// A scalar as text; nothing for what is none.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(truth) => truth.to_string(),
        _ => String::new(),
    }
}
