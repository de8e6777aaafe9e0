//! The device nodes and rules that granted GPUs add to a spec, kept apart from it.
//!
//! With 64 GPUs they are nine tenths of a spec, and to make and free them as JSON values takes longer
//! than all that is done with them.

use std::path::Path;

use discovery::edits::DeviceNode;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use crate::device_cgroup::DeviceRule;
use crate::spec::{SpecError, array, object};

/// What a spec is to have besides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Additions {
    /// Nodes for `linux.devices`.
    pub nodes: Vec<DeviceNode>,
    /// Rules for `linux.resources.devices`.
    pub rules: Vec<DeviceRule>,
}

impl Additions {
    /// Puts them at the end of the spec's lists.
    ///
    /// # Errors
    /// Where a field on the way is of the wrong type.
    pub fn put_into(&self, spec: &mut Value) -> Result<(), SpecError> {
        let linux = object(spec, "linux")?;
        let nodes = self.nodes.iter().map(|node| json!(Item::node(node)));
        array(linux, "devices")?.extend(nodes);
        let rules = self.rules.iter().map(|rule| rule.to_spec());
        array(object(linux, "resources")?, "devices")?.extend(rules);
        Ok(())
    }
}

/// A spec with additions: as JSON what [`Additions::put_into`] makes of it, where the spec has both
/// lists.
#[derive(Clone, Copy, Debug)]
pub struct WithAdditions<'a>(pub &'a Value, pub &'a Additions);

impl Serialize for WithAdditions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(spec, additions) = self;
        let linux = &spec["linux"];
        let resources = &linux["resources"];
        let of_resources = [(
            "devices",
            Part::Rules(&resources["devices"], &additions.rules),
        )];
        let of_linux = [
            ("devices", Part::Nodes(&linux["devices"], &additions.nodes)),
            ("resources", Part::Object(resources, &of_resources)),
        ];
        Part::Object(spec, &[("linux", Part::Object(linux, &of_linux))]).serialize(serializer)
    }
}

/// A value that is another one but for something in it.
enum Part<'a> {
    /// An object with other values under these keys.
    Object(&'a Value, &'a [(&'static str, Part<'a>)]),
    /// A list with more nodes at its end.
    Nodes(&'a Value, &'a [DeviceNode]),
    /// A list with more rules at its end.
    Rules(&'a Value, &'a [DeviceRule]),
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(object, others) => {
                let entries = object.as_object().into_iter().flatten();
                let mut map = serializer.serialize_map(None)?;
                for (key, value) in entries {
                    match others.iter().find(|(name, _)| name == key) {
                        Some((_, other)) => map.serialize_entry(key, other)?,
                        None => map.serialize_entry(key, value)?,
                    }
                }
                map.end()
            }
            Self::Nodes(list, nodes) => {
                let more = nodes.iter().map(Item::node);
                serializer.collect_seq(entries(list).map(Item::There).chain(more))
            }
            Self::Rules(list, rules) => {
                let more = rules.iter().map(Item::Rule);
                serializer.collect_seq(entries(list).map(Item::There).chain(more))
            }
        }
    }
}

fn entries(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// An entry of a spec's lists of devices (OCI runtime-spec, config-linux.md, "Devices" and "Allowed
/// Device list").
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Item<'a> {
    There(&'a Value),
    #[serde(rename_all = "camelCase")]
    Node {
        path: &'a Path,
        r#type: char,
        major: u32,
        minor: u32,
        file_mode: u32,
        uid: u32,
        gid: u32,
    },
    Rule(&'a DeviceRule),
}

impl<'a> Item<'a> {
    fn node(node: &'a DeviceNode) -> Self {
        Self::Node {
            path: &node.path,
            r#type: 'c',
            major: node.major,
            minor: node.minor,
            file_mode: node.mode,
            uid: node.uid,
            gid: node.gid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device_cgroup::{Access, DeviceKind};

    fn additions() -> Additions {
        let node = |path: &str, minor: u32| DeviceNode {
            path: path.into(),
            major: 226,
            minor,
            mode: 0o660,
            uid: 0,
            gid: 109,
        };
        let rule =
            |minor| DeviceRule::new(true, DeviceKind::Char, Some(226), Some(minor), Access::ALL);
        Additions {
            nodes: vec![node("/dev/dri/card1", 1), node("/dev/dri/\"x\"", 128)],
            rules: vec![rule(1), rule(128)],
        }
    }

    #[test]
    fn a_spec_is_written_as_if_they_were_in_it() {
        for (devices, rules) in [
            (json!([]), json!([])),
            (json!([{"path": "/dev/x"}]), json!([{"allow": false}])),
        ] {
            let mut spec = json!({
                "process": {"args": ["a"]},
                "linux": {
                    "devices": devices,
                    "namespaces": [{"type": "mount"}],
                    "resources": {"pids": {"limit": 5}, "devices": rules, "x": {"devices": [1]}},
                    "x-devices": {"devices": []},
                },
                "x": 18446744073709551615u64,
            });
            let written = serde_json::to_string(&WithAdditions(&spec, &additions())).unwrap();
            additions().put_into(&mut spec).unwrap();
            assert_eq!(written, spec.to_string());
        }
    }

    #[test]
    fn without_any_a_spec_is_written_as_it_is() {
        let spec = json!({"linux": {"resources": {"devices": [1]}, "devices": [2]}, "process": {}});
        let written = serde_json::to_string(&WithAdditions(&spec, &Additions::default())).unwrap();
        assert_eq!(written, spec.to_string());
    }
}
