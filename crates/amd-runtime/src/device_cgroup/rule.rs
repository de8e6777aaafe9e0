//! The device rules of a spec: `linux.resources.devices`
//! (OCI runtime-spec, config-linux.md, "Allowed Device list").

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::access::Access;

/// One entry of the allowed device list.
///
/// Entries apply in order, see [`DeviceTable`](super::table::DeviceTable).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeviceRule {
    /// Whether the rule allows or denies.
    pub allow: bool,
    /// The device type. [`DeviceKind::All`] means every device and every access, whatever the other
    /// fields say: the kernel and runc read it so.
    pub kind: DeviceKind,
    /// The major number; `None` is the wildcard.
    pub major: Option<u32>,
    /// The minor number; `None` is the wildcard.
    pub minor: Option<u32>,
    /// What is allowed or denied.
    pub access: Access,
}

/// The `type` of a device rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// `a`: every device.
    All,
    /// `c`: character devices.
    Char,
    /// `b`: block devices.
    Block,
}

impl DeviceKind {
    /// The letter of this type in a spec and in the files of the v1 controller.
    pub fn letter(self) -> char {
        match self {
            Self::All => 'a',
            Self::Char => 'c',
            Self::Block => 'b',
        }
    }
}

/// The type of a device node: a [`DeviceKind`] without the wildcard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum NodeKind {
    /// A character device.
    Char,
    /// A block device.
    Block,
}

impl From<NodeKind> for DeviceKind {
    fn from(kind: NodeKind) -> Self {
        match kind {
            NodeKind::Char => Self::Char,
            NodeKind::Block => Self::Block,
        }
    }
}

impl DeviceRule {
    /// Everything is denied.
    pub const DENY_ALL: Self = Self::new(false, DeviceKind::All, None, None, Access::ALL);
    /// Everything is allowed.
    pub const ALLOW_ALL: Self = Self::new(true, DeviceKind::All, None, None, Access::ALL);

    /// A rule of these fields.
    pub const fn new(
        allow: bool,
        kind: DeviceKind,
        major: Option<u32>,
        minor: Option<u32>,
        access: Access,
    ) -> Self {
        Self {
            allow,
            kind,
            major,
            minor,
            access,
        }
    }

    /// The rule as an entry of `linux.resources.devices`, in the form that every reader takes the
    /// same way: wildcards are absent rather than -1, and the access is written out.
    pub fn to_spec(self) -> Value {
        json!(self)
    }
}

/// As [`DeviceRule::to_spec`] says.
impl Serialize for DeviceRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut entry = serializer.serialize_map(None)?;
        entry.serialize_entry("allow", &self.allow)?;
        if self.kind == DeviceKind::All {
            entry.serialize_entry("type", "a")?;
            entry.serialize_entry("access", "rwm")?;
            return entry.end();
        }
        entry.serialize_entry("type", &self.kind.letter())?;
        if let Some(major) = self.major {
            entry.serialize_entry("major", &major)?;
        }
        if let Some(minor) = self.minor {
            entry.serialize_entry("minor", &minor)?;
        }
        entry.serialize_entry("access", &self.access.to_string())?;
        entry.end()
    }
}

/// As the v1 controller writes it, with the verdict before it: `allow c 226:* rwm`.
impl fmt::Display for DeviceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.allow { "allow" } else { "deny" };
        write!(f, "{verdict} {}", super::v1::entry(self))
    }
}

/// A device rule of the spec that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// `devices` is not a list.
    #[error("linux.resources.devices is not a list: {value}")]
    NotAList {
        /// The JSON found.
        value: String,
    },
    /// An entry is not an object.
    #[error("linux.resources.devices[{index}] is not an object: {value}")]
    NotAnObject {
        /// Position in the list, from 0.
        index: usize,
        /// The JSON found.
        value: String,
    },
    /// A field has a value that the OCI runtime spec does not know.
    #[error("linux.resources.devices[{index}].{field} is {value}: expected {expected}")]
    BadField {
        /// Position in the list, from 0.
        index: usize,
        /// Name of the field.
        field: &'static str,
        /// The JSON found.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
}

/// Parses `linux.resources.devices`: `devices` is the array, or null where the spec has none.
///
/// - `allow` absent is a deny, as in runc.
/// - `type` absent, null or empty is `a`.
/// - `major`, `minor` absent, null or -1 are wildcards (docker writes -1 for `*`).
/// - `access` absent or null is `rwm`.
/// - Unknown fields are ignored.
///
/// # Errors
/// A value outside of these, by its index. 4294967295 is refused as a number, because the v1
/// controller takes it for the wildcard.
pub fn rules_from_spec(devices: &Value) -> Result<Vec<DeviceRule>, RuleError> {
    match devices {
        Value::Null => Ok(Vec::new()),
        Value::Array(entries) => entries
            .iter()
            .enumerate()
            .map(|(index, entry)| rule_from_spec(index, entry))
            .collect(),
        other => Err(RuleError::NotAList {
            value: other.to_string(),
        }),
    }
}

fn rule_from_spec(index: usize, entry: &Value) -> Result<DeviceRule, RuleError> {
    let Value::Object(fields) = entry else {
        return Err(RuleError::NotAnObject {
            index,
            value: entry.to_string(),
        });
    };
    let get = |field| fields.get(field).unwrap_or(&Value::Null);
    let bad = |field, expected| RuleError::BadField {
        index,
        field,
        value: get(field).to_string(),
        expected,
    };

    let allow = match get("allow") {
        Value::Null => false,
        Value::Bool(allow) => *allow,
        _ => return Err(bad("allow", "true or false")),
    };
    let kind = match get("type") {
        Value::Null => DeviceKind::All,
        Value::String(kind) => match kind.as_str() {
            "" | "a" => DeviceKind::All,
            "c" => DeviceKind::Char,
            "b" => DeviceKind::Block,
            _ => return Err(bad("type", r#""a", "b" or "c""#)),
        },
        _ => return Err(bad("type", r#""a", "b" or "c""#)),
    };
    let number = |field| match get(field) {
        Value::Null => Ok(None),
        value if value.as_i64() == Some(-1) => Ok(None),
        value => match value.as_u64().map(u32::try_from) {
            Some(Ok(number)) if number != u32::MAX => Ok(Some(number)),
            _ => Err(bad(field, "-1 or a device number from 0 to 4294967294")),
        },
    };
    let access = match get("access") {
        Value::Null => Access::ALL,
        Value::String(letters) => {
            // As with runc, which overlooks what it does not know; a rule of which nothing is left
            // says nothing, and is refused.
            let known: String = letters.chars().filter(|c| "rwm".contains(*c)).collect();
            match Access::parse(&known) {
                Some(access) if !access.is_empty() => access,
                _ => return Err(bad("access", "letters of rwm")),
            }
        }
        _ => return Err(bad("access", "letters of rwm")),
    };
    Ok(DeviceRule::new(
        allow,
        kind,
        number("major")?,
        number("minor")?,
        access,
    ))
}

/// The rules that every container gets after those of its spec.
///
/// They are the ones that libcgroups 0.7.0 appends on v1 (`default_devices` and
/// `default_allow_devices` in its `common.rs`), so that a container sees the same devices on v1 and
/// v2. They have the role of runc's `AllowedDevices`: the OCI default devices, the terminals,
/// `/dev/net/tun`, and mknod of everything.
pub fn default_rules() -> Vec<DeviceRule> {
    const fn char_device(major: u32, minor: Option<u32>) -> DeviceRule {
        DeviceRule::new(true, DeviceKind::Char, Some(major), minor, Access::ALL)
    }
    vec![
        char_device(1, Some(3)),
        char_device(1, Some(5)),
        char_device(1, Some(7)),
        char_device(5, Some(0)),
        char_device(1, Some(9)),
        char_device(1, Some(8)),
        DeviceRule::new(true, DeviceKind::Char, None, None, Access::MKNOD),
        DeviceRule::new(true, DeviceKind::Block, None, None, Access::MKNOD),
        char_device(5, Some(1)),
        char_device(136, None),
        char_device(5, Some(2)),
        char_device(10, Some(200)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_one(entry: Value) -> Result<DeviceRule, RuleError> {
        rules_from_spec(&json!([entry])).map(|rules| rules[0])
    }

    #[test]
    fn letters_of_an_access_that_are_none_are_overlooked() {
        let rule = parse_one(json!({"allow": false, "type": "c", "access": "rwa"})).unwrap();
        assert_eq!(rule.access, Access::READ | Access::WRITE);
    }

    #[test]
    fn a_rule_has_type_numbers_and_access() {
        let cases = [
            (
                json!({"allow": true, "type": "c", "major": 226, "minor": 128, "access": "rwm"}),
                "allow c 226:128 rwm",
            ),
            (
                json!({"allow": true, "type": "b", "major": 8, "minor": 0, "access": "r"}),
                "allow b 8:0 r",
            ),
            (
                json!({"allow": false, "type": "c", "major": 10, "minor": 229, "access": "mwr"}),
                "deny c 10:229 rwm",
            ),
            (
                json!({"allow": true, "type": "c", "major": 0, "minor": 0, "access": "w"}),
                "allow c 0:0 w",
            ),
            (
                json!({"allow": true, "type": "c", "major": 4294967294u32, "minor": 1}),
                "allow c 4294967294:1 rwm",
            ),
        ];
        for (entry, expected) in cases {
            assert_eq!(parse_one(entry).unwrap().to_string(), expected);
        }
    }

    #[test]
    fn numbers_absent_null_or_minus_one_are_wildcards() {
        for entry in [
            json!({"allow": true, "type": "c", "access": "rwm"}),
            json!({"allow": true, "type": "c", "major": null, "minor": null, "access": "rwm"}),
            json!({"allow": true, "type": "c", "major": -1, "minor": -1, "access": "rwm"}),
        ] {
            assert_eq!(parse_one(entry).unwrap().to_string(), "allow c *:* rwm");
        }
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        assert_eq!(
            parse_one(json!({"access": "rwm"})).unwrap(),
            DeviceRule::DENY_ALL
        );
        assert_eq!(
            parse_one(json!({"allow": true, "type": ""})).unwrap(),
            DeviceRule::ALLOW_ALL
        );
        let rule = parse_one(json!({"allow": true, "type": "c", "access": null})).unwrap();
        assert_eq!(rule.access, Access::ALL);
    }

    #[test]
    fn a_spec_without_rules_has_none() {
        assert_eq!(rules_from_spec(&Value::Null), Ok(vec![]));
        assert_eq!(rules_from_spec(&json!([])), Ok(vec![]));
    }

    #[test]
    fn a_bad_value_is_named_with_its_index() {
        let good = json!({"allow": false});
        let cases = [
            (
                json!({"allow": "yes"}),
                r#"[1].allow is "yes": expected true or false"#,
            ),
            (
                json!({"type": "u"}),
                r#"[1].type is "u": expected "a", "b" or "c""#,
            ),
            (
                json!({"type": 3}),
                r#"[1].type is 3: expected "a", "b" or "c""#,
            ),
            (
                json!({"type": "c", "major": -2}),
                "[1].major is -2: expected -1 or",
            ),
            (
                json!({"type": "c", "major": "226"}),
                r#"[1].major is "226": expected -1 or"#,
            ),
            (
                json!({"type": "c", "minor": 1.5}),
                "[1].minor is 1.5: expected -1 or",
            ),
            (
                json!({"type": "c", "minor": 4294967295u32}),
                "[1].minor is 4294967295: expected",
            ),
            (
                json!({"type": "c", "minor": 4294967296u64}),
                "[1].minor is 4294967296: expected",
            ),
            (
                json!({"access": "x"}),
                r#"[1].access is "x": expected letters of rwm"#,
            ),
            (
                json!({"access": ""}),
                r#"[1].access is "": expected letters of rwm"#,
            ),
            (
                json!({"access": 7}),
                "[1].access is 7: expected letters of rwm",
            ),
            (json!("c 1:3 rwm"), r#"[1] is not an object: "c 1:3 rwm""#),
        ];
        for (bad, message) in cases {
            let error = rules_from_spec(&json!([good, bad]))
                .unwrap_err()
                .to_string();
            let expected = format!("linux.resources.devices{message}");
            assert!(
                error.starts_with(&expected),
                "{error} does not start with {expected}"
            );
        }
        let error = rules_from_spec(&json!({"allow": true}))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            r#"linux.resources.devices is not a list: {"allow":true}"#
        );
    }

    #[test]
    fn a_rule_written_back_reads_the_same() {
        let written = json!([
            {"allow": false},
            {"allow": true, "type": "a", "major": 1, "minor": 2, "access": "r"},
            {"allow": true, "type": "c", "major": 226, "minor": -1, "access": "mr"},
            {"allow": false, "type": "b", "major": -1, "minor": 3},
        ]);
        let rules = rules_from_spec(&written).unwrap();
        let normal: Value = rules.iter().map(|rule| rule.to_spec()).collect();
        assert_eq!(
            normal,
            json!([
                {"allow": false, "type": "a", "access": "rwm"},
                {"allow": true, "type": "a", "access": "rwm"},
                {"allow": true, "type": "c", "major": 226, "access": "rm"},
                {"allow": false, "type": "b", "minor": 3, "access": "rwm"},
            ])
        );
        let again = rules_from_spec(&normal).unwrap();
        assert_eq!(again[2..], rules[2..]);
        assert_eq!(again[..2], [DeviceRule::DENY_ALL, DeviceRule::ALLOW_ALL]);
    }
}
