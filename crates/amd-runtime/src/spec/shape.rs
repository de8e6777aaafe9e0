//! The types of fields, and the form of a value that has them.
//!
//! runc decodes config.json into Go structs. What that takes and refuses is a promise to
//! whoever writes the file: null is the same as missing, an unknown field is no error,
//! the case of a name does not matter, a field of another type is refused. A value that
//! [`conform`]s has its nulls removed and its names spelled right, so that all later
//! code sees one form only.

use serde_json::{Map as Object, Value, json};

use super::SpecError;
use super::fields::Field;
use super::parse::merge;

/// The type of a JSON value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    /// A string that reaches a system call: one without a NUL byte.
    Text,
    /// A string that stays in the runtime.
    AnyText,
    /// A boolean.
    Flag,
    /// A whole number from the first to the second.
    Integer(i128, i128),
    /// An array of one type.
    List(&'static Shape),
    /// An object with any names and values of one type.
    Map(&'static Shape),
    /// An object with fields; unknown ones are left alone.
    Fields(&'static [Field]),
}

impl Shape {
    /// What Go makes of a null where an element must be.
    fn zero(self) -> Value {
        match self {
            Self::Text | Self::AnyText => json!(""),
            Self::Flag => json!(false),
            Self::Integer(..) => json!(0),
            Self::List(_) => json!([]),
            Self::Map(_) | Self::Fields(_) => json!({}),
        }
    }

    fn expected(self) -> String {
        match self {
            Self::Text | Self::AnyText => "a string".into(),
            Self::Flag => "true or false".into(),
            Self::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Self::List(_) => "an array".into(),
            Self::Map(_) | Self::Fields(_) => "an object".into(),
        }
    }
}

/// Brings `value`, which is at `path` of the spec, into the form of `shape`.
///
/// # Errors
/// The first value of another type, by its path.
pub(super) fn conform(value: &mut Value, shape: Shape, path: &str) -> Result<(), SpecError> {
    match (shape, &mut *value) {
        (Shape::Text, Value::String(text)) => without_nul(text, path),
        (Shape::AnyText, Value::String(_)) | (Shape::Flag, Value::Bool(_)) => Ok(()),
        (Shape::Integer(min, max), Value::Number(number))
            if number.as_i128().is_some_and(|n| (min..=max).contains(&n)) =>
        {
            Ok(())
        }
        (Shape::List(shape), Value::Array(items)) => {
            items.iter_mut().enumerate().try_for_each(|(index, item)| {
                fill(item, *shape);
                conform(item, *shape, &format!("{path}[{index}]"))
            })
        }
        (Shape::Map(shape), Value::Object(entries)) => {
            entries.iter_mut().try_for_each(|(key, item)| {
                if !matches!(shape, Shape::AnyText) {
                    without_nul(key, path)?;
                }
                fill(item, *shape);
                conform(item, *shape, &format!("{path}[{key:?}]"))
            })
        }
        (Shape::Fields(fields), Value::Object(object)) => conform_fields(object, fields, path),
        (shape, value) => Err(SpecError::Field(format!(
            "{path} must be {}, and is {}",
            shape.expected(),
            shortened(value)
        ))),
    }
}

/// A system call would take the part before a NUL for the whole.
fn without_nul(text: &str, path: &str) -> Result<(), SpecError> {
    if text.contains('\0') {
        return Err(SpecError::Field(format!("{path} has a NUL byte: {text:?}")));
    }
    Ok(())
}

fn fill(item: &mut Value, shape: Shape) {
    if item.is_null() {
        *item = shape.zero();
    }
}

fn conform_fields(
    object: &mut Object<String, Value>,
    fields: &[Field],
    path: &str,
) -> Result<(), SpecError> {
    spell(object, fields);
    for (name, shape) in fields {
        match object.get_mut(*name) {
            None => {}
            Some(Value::Null) => {
                object.shift_remove(*name);
            }
            Some(value) => conform(value, *shape, &join(path, name))?,
        }
    }
    Ok(())
}

/// Gives fields the spelling of the spec. Two spellings of a name are the same name twice.
fn spell(object: &mut Object<String, Value>, fields: &[Field]) {
    let known = |key: &str| {
        fields
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(key))
    };
    if !object
        .keys()
        .any(|key| known(key).is_some_and(|(name, _)| name != key))
    {
        return;
    }
    for (key, value) in std::mem::take(object) {
        let key = known(&key).map_or(key, |(name, _)| (*name).to_owned());
        merge(object, key, value);
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// A value as a message can hold it.
fn shortened(value: &Value) -> String {
    const LONGEST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::SPEC;
    use super::*;

    fn conformed(mut spec: Value) -> Result<Value, String> {
        conform(&mut spec, SPEC, "").map_err(|err| err.to_string())?;
        Ok(spec)
    }

    #[test]
    fn null_is_missing_and_an_element_that_is_null_is_empty() {
        let spec = json!({
            "process": {"args": ["a", null], "env": null}, "linux": null, "mounts": [null],
            "annotations": {"a": null},
        });
        let same = json!({
            "process": {"args": ["a", ""]}, "mounts": [{}], "annotations": {"a": ""},
        });
        assert_eq!(conformed(spec), Ok(same));
    }

    #[test]
    fn what_is_unknown_stays_as_it_is() {
        let spec = json!({"future": null, "process": {"future": [5, null]}});
        assert_eq!(conformed(spec.clone()), Ok(spec));
    }

    #[test]
    fn the_case_of_a_name_does_not_matter() {
        let spec = json!({
            "HostName": "a", "hostname": "b", "linux": {"sysctl": {}},
            "LINUX": {"maskedpaths": ["/x"]},
        });
        let same = json!({"hostname": "b", "linux": {"sysctl": {}, "maskedPaths": ["/x"]}});
        assert_eq!(conformed(spec), Ok(same));
    }

    #[test]
    fn another_type_is_refused_by_its_path() {
        for (spec, says) in [
            (
                json!({"process": {"args": ["a", 5]}}),
                "process.args[1] must be a string, and is 5",
            ),
            (
                json!({"linux": {"devices": [{"uid": -1}]}}),
                "linux.devices[0].uid must be a whole number from 0 to 4294967295, and is -1",
            ),
            (
                json!({"linux": {"resources": {"pids": {"limit": 1.5}}}}),
                "linux.resources.pids.limit must be a whole number",
            ),
            (
                json!({"annotations": {"a b": true}}),
                "annotations[\"a b\"] must be a string, and is true",
            ),
            (json!({"hooks": []}), "hooks must be an object, and is []"),
            (
                json!({"root": {"readonly": "yes"}}),
                "root.readonly must be true or false",
            ),
        ] {
            let message = conformed(spec).unwrap_err();
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn a_message_holds_a_short_piece_of_a_long_value() {
        let message = conformed(json!({"hostname": ["ä".repeat(1000)]})).unwrap_err();
        assert!(message.len() < 200, "{message}");
    }
}
