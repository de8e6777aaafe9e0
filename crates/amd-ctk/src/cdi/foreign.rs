//! What somebody else put into a spec of our kind, and would lose if it were written anew.

use discovery::{PciAddress, Uuid};
use serde_json::{Map, Value};

use super::document::text;

/// What we annotate specs with; AMD's Go toolkit annotates none.
const ANNOTATIONS: [(&str, &str); 2] = [
    ("org.mobyproject.buildkit.device.autoallow", "true"),
    ("org.mobyproject.buildkit.device.class", "gpu"),
];

/// What a spec has that neither `amd-ctk cdi generate` nor that of AMD's Go toolkit writes, in
/// the order of the file; `value` is what `text`, JSON or YAML, says.
///
/// The Go toolkit also states type, numbers, mode and owner of the nodes. Numbers, mode and
/// group are those of the host when it was run, so another's look the same.
pub fn foreign(text: &str, value: &Value) -> Vec<String> {
    let mut found = Found::default();
    found.spec(value);
    if let Some(line) = text.lines().position(has_comment) {
        found.add(format!("a comment in line {}", line + 1));
    }
    found.0
}

#[derive(Default)]
struct Found(Vec<String>);

impl Found {
    fn add(&mut self, what: String) {
        self.0.push(what);
    }

    fn spec(&mut self, spec: &Value) {
        for (key, value) in fields(spec) {
            match (key.as_str(), value) {
                ("cdiVersion" | "kind", _) => {}
                ("devices", Value::Array(devices)) => {
                    devices.iter().for_each(|device| self.device(device));
                }
                ("annotations", Value::Object(annotations)) => self.annotations(annotations),
                // Neither writes edits of all devices; the Go toolkit writes an empty object.
                ("containerEdits", edits @ Value::Object(_)) => {
                    for (key, _) in fields(edits) {
                        self.add(format!("{key:?} of all devices"));
                    }
                }
                _ => self.add(format!("the field {key:?}")),
            }
        }
    }

    fn annotations(&mut self, annotations: &Map<String, Value>) {
        for (key, value) in annotations {
            let ours = ANNOTATIONS.contains(&(key.as_str(), text(value).as_str()));
            if !ours {
                self.add(format!("the annotation {key:?}"));
            }
        }
    }

    fn device(&mut self, device: &Value) {
        let name = text(&device["name"]);
        let owner = format!("device {name:?}");
        if !is_name_of_gpus(&name) {
            return self.add(owner);
        }
        for (key, value) in fields(device) {
            match (key.as_str(), value) {
                ("name", _) => {}
                ("containerEdits", edits @ Value::Object(_)) => self.edits(&owner, edits),
                _ => self.add(format!("{key:?} of {owner}")),
            }
        }
    }

    fn edits(&mut self, owner: &str, edits: &Value) {
        for (key, value) in fields(edits) {
            match (key.as_str(), value) {
                ("additionalGids", _) => {}
                ("deviceNodes", Value::Array(nodes)) => {
                    nodes.iter().for_each(|node| self.node(owner, node));
                }
                _ => self.add(format!("{key:?} of {owner}")),
            }
        }
    }

    fn node(&mut self, owner: &str, node: &Value) {
        let path = text(&node["path"]);
        if !is_gpu_node(&path) {
            return self.add(format!("node {path:?} of {owner}"));
        }
        for (key, value) in fields(node) {
            let written = match key.as_str() {
                "path" | "major" | "minor" | "fileMode" | "gid" => true,
                // Of `--dev-root`.
                "hostPath" => text(value).ends_with(&path),
                "type" => value == "c",
                "permissions" => value == "rwm",
                "uid" => value == 0,
                _ => false,
            };
            if !written {
                self.add(format!("{key:?} of node {path:?} of {owner}"));
            }
        }
    }
}

/// The fields of an object that say something.
fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let object = value.as_object().into_iter().flatten();
    object.filter(|(_, value)| !is_nothing(value))
}

/// Whether a value is as good as none.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// Whether GPUs are called so, by index, UUID or PCI address, or all of them.
fn is_name_of_gpus(name: &str) -> bool {
    let is_index = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    // Other spellings of these can be asked for, but are not written.
    let is_uuid = || {
        name.parse::<Uuid>()
            .is_ok_and(|uuid| uuid.to_string() == name)
    };
    let is_pci = || {
        name.parse::<PciAddress>()
            .is_ok_and(|pci| pci.to_string() == name)
    };
    name == discovery::cdi::ALL || is_index || is_uuid() || is_pci()
}

fn is_gpu_node(path: &str) -> bool {
    let numbered = |prefix| {
        path.strip_prefix(prefix).is_some_and(|number: &str| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    path == "/dev/kfd" || numbered("/dev/dri/card") || numbered("/dev/dri/renderD")
}

/// Whether a line of YAML has a comment: what follows a `#` at its beginning or after a blank,
/// and outside of quotes (YAML 1.2.2, 6.6).
fn has_comment(line: &str) -> bool {
    let begins = |(at, _): &(usize, &str)| {
        let before = &line[..*at];
        let closed = |quote| before.matches(quote).count().is_multiple_of(2);
        before.chars().next_back().is_none_or(char::is_whitespace) && closed('"') && closed('\'')
    };
    line.match_indices('#').any(|found| begins(&found))
}

#[cfg(test)]
#[path = "foreign_tests.rs"]
mod tests;
