//! Properties of a unit that the annotations `org.systemd.property.NAME` ask for, as runc reads them
//! (package specconv, initSystemdProps), with a value in GVariant's text format.

use std::collections::BTreeMap;

use super::gvariant::{TextError, value_of};
use super::properties::Property;
use super::wire::Value;

const PREFIX: &str = "org.systemd.property.";

/// What the spec says elsewhere, or must not say: processes of others would be the container's, and
/// end with it.
const NOT_BY_ANNOTATION: [(&str, &str); 6] = [
    ("PIDs", "the unit has the container's processes alone"),
    ("PIDFDs", "the unit has the container's processes alone"),
    ("Slice", "linux.cgroupsPath names the slice"),
    ("Delegate", "the unit is always delegated to the runtime"),
    ("DeviceAllow", "linux.resources.devices says which devices"),
    ("DevicePolicy", "linux.resources.devices says which devices"),
];

/// Why an annotation sets no property.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    /// The name of the property is none.
    #[error("annotation {annotation:?}: {name:?} is no name of a property of a unit")]
    Name {
        /// The annotation.
        annotation: String,
        /// What should be a name.
        name: String,
    },
    /// The property is the runtime's own.
    #[error("annotation {annotation:?}: the property is set by the runtime: {why}")]
    Own {
        /// The annotation.
        annotation: String,
        /// What it is set by.
        why: &'static str,
    },
    /// The value cannot be read.
    #[error("annotation {annotation:?}: {text:?} is no value")]
    Value {
        /// The annotation.
        annotation: String,
        /// Its value.
        text: String,
        /// Why not.
        source: TextError,
    },
    /// The value is no number of seconds.
    #[error("annotation {annotation:?}: {text:?} is no number of seconds")]
    Seconds {
        /// The annotation.
        annotation: String,
        /// Its value.
        text: String,
    },
}

impl AnnotationError {
    /// The way out.
    pub fn hint(&self) -> String {
        match self {
            Self::Name { .. } => {
                "names are those of systemd's D-Bus interface, as in org.freedesktop.systemd1(5): \
                 at least three letters"
            }
            Self::Own { .. } => "leave the annotation out",
            Self::Value { .. } | Self::Seconds { .. } => {
                "values are GVariant text: 'text' in quotes, true, 5, uint64 5, ['a', 'b']"
            }
        }
        .to_owned()
    }
}

/// The properties that annotations ask for, by name.
///
/// # Errors
/// Where a name, or a value, cannot be understood, or the property is the runtime's own.
pub fn properties_of(
    annotations: &BTreeMap<String, String>,
) -> Result<Vec<Property>, AnnotationError> {
    let asked = |(annotation, text): (&String, &String)| {
        let name = annotation.strip_prefix(PREFIX)?;
        Some(property(annotation, name, text))
    };
    annotations.iter().filter_map(asked).collect()
}

fn property(annotation: &str, name: &str, text: &str) -> Result<Property, AnnotationError> {
    let annotation = annotation.to_owned();
    if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        let name = name.to_owned();
        return Err(AnnotationError::Name { annotation, name });
    }
    if let Some((_, why)) = NOT_BY_ANNOTATION.iter().find(|(own, _)| *own == name) {
        return Err(AnnotationError::Own { annotation, why });
    }
    let value = match value_of(text) {
        Ok(value) => value,
        Err(source) => {
            let text = text.to_owned();
            return Err(AnnotationError::Value {
                annotation,
                text,
                source,
            });
        }
    };
    let Some(stem) = stem_of_seconds(name) else {
        return Ok(Property::new(name.to_owned(), value));
    };
    match microseconds(&value) {
        Some(microseconds) => Ok(Property::new(format!("{stem}USec"), microseconds)),
        None => Err(AnnotationError::Seconds {
            annotation,
            text: text.to_owned(),
        }),
    }
}

/// Unit files have seconds, as in TimeoutStopSec, where the bus has TimeoutStopUSec. What a name has
/// before the ending is known by the small letter at its end.
fn stem_of_seconds(name: &str) -> Option<&str> {
    let stem = name.strip_suffix("Sec")?;
    stem.ends_with(|c: char| c.is_ascii_lowercase())
        .then_some(stem)
}

fn microseconds(seconds: &Value) -> Option<u64> {
    const IN_A_SECOND: u64 = 1_000_000;
    let whole = match *seconds {
        Value::Byte(seconds) => seconds.into(),
        Value::Int16(seconds) => seconds.try_into().ok()?,
        Value::Uint16(seconds) => seconds.into(),
        Value::Int32(seconds) => seconds.try_into().ok()?,
        Value::Uint32(seconds) => seconds.into(),
        Value::Int64(seconds) => seconds.try_into().ok()?,
        Value::Number(seconds) => seconds,
        Value::Double(seconds) => {
            let all = seconds * IN_A_SECOND as f64;
            // Beyond it a double has no units any more.
            let longest = (1_u64 << 53) as f64;
            return (0.0..=longest).contains(&all).then_some(all as u64);
        }
        _ => return None,
    };
    whole.checked_mul(IN_A_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(name: &str, text: &str) -> Result<Vec<Property>, AnnotationError> {
        properties_of(&[(name.to_owned(), text.to_owned())].into())
    }

    // The table of runc's TestInitSystemdProps.
    #[test]
    fn annotations_are_the_properties_that_runc_makes_of_them() {
        for (name, text, property, value) in [
            (
                "TimeoutStopUSec",
                "uint64 123456789",
                "TimeoutStopUSec",
                123_456_789_u64.into(),
            ),
            (
                "TimeoutStopSec",
                "456",
                "TimeoutStopUSec",
                456_000_000_u64.into(),
            ),
            (
                "TimeoutStopSec",
                "byte 234",
                "TimeoutStopUSec",
                234_000_000_u64.into(),
            ),
            (
                "TimeoutStopSec",
                "int16 234",
                "TimeoutStopUSec",
                234_000_000_u64.into(),
            ),
            (
                "TimeoutStopSec",
                "uint16 234",
                "TimeoutStopUSec",
                234_000_000_u64.into(),
            ),
            (
                "TimeoutStopSec",
                "int32 234",
                "TimeoutStopUSec",
                234_000_000_u64.into(),
            ),
            (
                "TimeoutStopSec",
                "uint32 234",
                "TimeoutStopUSec",
                234_000_000_u64.into(),
            ),
            (
                "TimeoutStopSec",
                "int64 234",
                "TimeoutStopUSec",
                234_000_000_u64.into(),
            ),
            (
                "TimeoutStopSec",
                "uint64 234",
                "TimeoutStopUSec",
                234_000_000_u64.into(),
            ),
            (
                "TimeoutStopSec",
                "234.789",
                "TimeoutStopUSec",
                234_789_000_u64.into(),
            ),
            ("FOOSec", "123", "FOOSec", Value::Int32(123)),
            ("Sec", "123", "Sec", Value::Int32(123)),
            (
                "CollectMode",
                "'inactive-or-failed'",
                "CollectMode",
                "inactive-or-failed".into(),
            ),
        ] {
            let asked = properties(&format!("org.systemd.property.{name}"), text);
            assert_eq!(
                asked,
                Ok(vec![Property::new(property, value)]),
                "{name}={text}"
            );
        }
        assert_eq!(properties("some.other.annotation", "0"), Ok(vec![]));
    }

    #[test]
    fn what_cannot_be_understood_is_refused_and_the_annotation_named() {
        for (name, text, error) in [
            (
                "TimeoutStopSec",
                "false",
                "\"false\" is no number of seconds",
            ),
            (
                "TimeoutStopSec",
                "'covfefe'",
                "\"'covfefe'\" is no number of seconds",
            ),
            ("TimeoutStopSec", "-1", "\"-1\" is no number of seconds"),
            ("TimeoutStopSec", "-0.5", "\"-0.5\" is no number of seconds"),
            (
                "TimeoutStopSec",
                "1e300",
                "\"1e300\" is no number of seconds",
            ),
            (
                "TimeoutStopSec",
                "uint64 18446744073710",
                "\"uint64 18446744073710\" is no number of seconds",
            ),
            ("Xo", "1", "\"Xo\" is no name of a property of a unit"),
            (
                "Number1",
                "1",
                "\"Number1\" is no name of a property of a unit",
            ),
            ("Кир", "1", "\"Кир\" is no name of a property of a unit"),
            (
                "A name",
                "1",
                "\"A name\" is no name of a property of a unit",
            ),
            ("", "1", "\"\" is no name of a property of a unit"),
            (
                "ValidName",
                "invalid-value",
                "\"invalid-value\" is no value",
            ),
            (
                "PIDs",
                "[uint32 1]",
                "the property is set by the runtime: the unit has the container's processes alone",
            ),
            (
                "Slice",
                "'a.slice'",
                "the property is set by the runtime: linux.cgroupsPath names the slice",
            ),
        ] {
            let annotation = format!("org.systemd.property.{name}");
            let err = properties(&annotation, text).unwrap_err();
            assert_eq!(
                err.to_string(),
                format!("annotation {annotation:?}: {error}")
            );
            assert!(!err.hint().is_empty());
        }
    }
}
