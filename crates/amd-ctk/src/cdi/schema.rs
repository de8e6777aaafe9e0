//! Whether a document is a CDI spec that consumers take ("CDI JSON Specification").

use discovery::cdi::Version;
use serde_json::{Map, Value};

use super::Document;
use super::document::text;

/// What a consumer refuses in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it is, such as `devices[2].containerEdits`; empty for the whole document.
    pub place: String,
    /// What is wrong there.
    pub message: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        f.write_str(&self.message)
    }
}

/// A key of an object.
struct Field {
    name: &'static str,
    kind: Kind,
    since: Version,
    required: bool,
}

/// What a value is. A number or a truth value counts as text, as for the Go library's
/// consumers: `autoallow: true` is common in YAML.
enum Kind {
    Text,
    Texts,
    TextMap,
    Truth,
    Integer { least: i64, most: i64 },
    Gids,
    Object(&'static [Field]),
    Objects(&'static [Field]),
}

const INT64: Kind = Kind::Integer {
    least: i64::MIN,
    most: i64::MAX,
};
const UINT32: Kind = Kind::Integer {
    least: 0,
    most: u32::MAX as i64,
};

const fn since(since: Version, name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        kind,
        since,
        required: false,
    }
}

const fn optional(name: &'static str, kind: Kind) -> Field {
    since(Version::V0_1, name, kind)
}

const fn required(name: &'static str, kind: Kind) -> Field {
    Field {
        required: true,
        ..optional(name, kind)
    }
}

static SPEC: [Field; 5] = [
    required("cdiVersion", Kind::Text),
    required("kind", Kind::Text),
    since(Version::V0_6, "annotations", Kind::TextMap),
    required("devices", Kind::Objects(&DEVICE)),
    optional("containerEdits", Kind::Object(&EDITS)),
];

static DEVICE: [Field; 3] = [
    required("name", Kind::Text),
    since(Version::V0_6, "annotations", Kind::TextMap),
    required("containerEdits", Kind::Object(&EDITS)),
];

static EDITS: [Field; 7] = [
    optional("env", Kind::Texts),
    optional("deviceNodes", Kind::Objects(&NODE)),
    since(Version::V1_1, "netDevices", Kind::Objects(&NET_DEVICE)),
    optional("hooks", Kind::Objects(&HOOK)),
    optional("mounts", Kind::Objects(&MOUNT)),
    since(Version::V0_7, "intelRdt", Kind::Object(&INTEL_RDT)),
    since(Version::V0_7, "additionalGids", Kind::Gids),
];

static NODE: [Field; 9] = [
    required("path", Kind::Text),
    since(Version::V0_5, "hostPath", Kind::Text),
    optional("type", Kind::Text),
    optional("major", INT64),
    optional("minor", INT64),
    optional("fileMode", UINT32),
    optional("permissions", Kind::Text),
    optional("uid", UINT32),
    optional("gid", UINT32),
];

static NET_DEVICE: [Field; 2] = [
    required("hostInterfaceName", Kind::Text),
    required("name", Kind::Text),
];

static HOOK: [Field; 5] = [
    required("hookName", Kind::Text),
    required("path", Kind::Text),
    optional("args", Kind::Texts),
    optional("env", Kind::Texts),
    optional("timeout", INT64),
];

static MOUNT: [Field; 4] = [
    required("hostPath", Kind::Text),
    required("containerPath", Kind::Text),
    optional("options", Kind::Texts),
    since(Version::V0_4, "type", Kind::Text),
];

static INTEL_RDT: [Field; 7] = [
    optional("closID", Kind::Text),
    optional("l3CacheSchema", Kind::Text),
    optional("memBwSchema", Kind::Text),
    // Both were dropped again in 1.1.0.
    optional("enableCMT", Kind::Truth),
    optional("enableMBM", Kind::Truth),
    since(Version::V1_1, "schemata", Kind::Texts),
    since(Version::V1_1, "enableMonitoring", Kind::Truth),
];

/// All that consumers refuse in `value`; empty for a valid spec.
pub fn faults(value: &Value) -> Vec<Fault> {
    let Some(spec) = value.as_object() else {
        return vec![Fault {
            place: String::new(),
            message: "not an object, so no CDI spec".to_owned(),
        }];
    };
    let stated = spec.get("cdiVersion").filter(|value| is_scalar(value));
    let version = stated.map(|value| text(value).parse::<Version>());
    let mut check = Check {
        // Of an unknown version at least what no version has is a fault.
        version: version
            .clone()
            .and_then(Result::ok)
            .unwrap_or(Version::V1_1),
        faults: Vec::new(),
    };
    if let Some(Err(error)) = version {
        check.fault("cdiVersion", error.to_string());
    }
    check.object("", spec, &SPEC);
    let well_formed = check.faults.is_empty();
    if well_formed || check.faults.iter().all(|fault| fault.place == "cdiVersion") {
        super::document::check(
            &Document::of(value),
            check.version,
            &mut |place, message| {
                check.faults.push(Fault {
                    place: place.to_owned(),
                    message,
                });
            },
        );
    }
    check.faults
}

struct Check {
    version: Version,
    faults: Vec<Fault>,
}

impl Check {
    fn fault(&mut self, place: &str, message: impl Into<String>) {
        self.faults.push(Fault {
            place: place.to_owned(),
            message: message.into(),
        });
    }

    fn object(&mut self, place: &str, object: &Map<String, Value>, fields: &[Field]) {
        for (key, value) in object {
            let place = join(place, key);
            match fields.iter().find(|field| field.name == key) {
                None => self.fault(&place, "no version of CDI has this field"),
                Some(_) if value.is_null() => {}
                Some(field) if field.since > self.version => {
                    let message = format!(
                        "CDI {} does not have this field: it came with {}",
                        self.version, field.since
                    );
                    self.fault(&place, message);
                }
                Some(field) => self.value(&place, value, &field.kind),
            }
        }
        for field in fields.iter().filter(|field| field.required) {
            if object.get(field.name).is_none_or(Value::is_null) {
                self.fault(&join(place, field.name), "missing");
            }
        }
    }

    fn value(&mut self, place: &str, value: &Value, kind: &Kind) {
        match kind {
            Kind::Text => self.expect(place, is_scalar(value), "text"),
            Kind::Truth => self.expect(place, value.is_boolean(), "true or false"),
            Kind::Integer { least, most } => {
                let fits = value.as_i64().is_some_and(|n| (least..=most).contains(&&n));
                let expected = if *least == 0 {
                    "a number from 0 to 4294967295"
                } else {
                    "a whole number"
                };
                self.expect(place, fits, expected);
            }
            Kind::TextMap => {
                let is_map = value
                    .as_object()
                    .is_some_and(|map| map.values().all(is_scalar));
                self.expect(place, is_map, "an object of texts");
            }
            Kind::Texts => self.each(place, value, "a list of texts", |check, place, value| {
                check.value(place, value, &Kind::Text);
            }),
            Kind::Gids => self.each(place, value, "a list of numbers", |check, place, value| {
                check.value(place, value, &UINT32);
            }),
            Kind::Object(fields) => match value.as_object() {
                Some(object) => self.object(place, object, fields),
                None => self.expect(place, false, "an object"),
            },
            Kind::Objects(fields) => {
                self.each(place, value, "a list of objects", |check, place, value| {
                    check.value(place, value, &Kind::Object(fields));
                });
            }
        }
    }

    fn each(
        &mut self,
        place: &str,
        value: &Value,
        expected: &str,
        check: impl Fn(&mut Self, &str, &Value),
    ) {
        let Some(values) = value.as_array() else {
            return self.expect(place, false, expected);
        };
        for (index, value) in values.iter().enumerate() {
            check(self, &format!("{place}[{index}]"), value);
        }
    }

    fn expect(&mut self, place: &str, holds: bool, expected: &str) {
        if !holds {
            self.fault(place, format!("must be {expected}"));
        }
    }
}

fn is_scalar(value: &Value) -> bool {
    value.is_string() || value.is_number() || value.is_boolean()
}

fn join(place: &str, key: &str) -> String {
    if place.is_empty() {
        key.to_owned()
    } else {
        format!("{place}.{key}")
    }
}

#[cfg(test)]
#[path = "schema_tests.rs"]
mod tests;
