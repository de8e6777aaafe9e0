//! config.json from its bytes, read as Go's `encoding/json` reads it.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The value in `bytes`, which must hold nothing after it.
///
/// As in Go, a name that comes twice in an object is no error: the later value counts, and
/// of two objects the later one's fields go into the earlier. Bytes that are not UTF-8
/// become U+FFFD.
///
/// # Errors
/// Where the bytes are no JSON, or nested more than 128 deep.
pub(super) fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_str::<Merged>(&String::from_utf8_lossy(bytes)).map(|merged| merged.0)
}

/// A value in which names that came twice are merged.
struct Merged(Value);

impl<'de> Deserialize<'de> for Merged {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MergingVisitor).map(Self)
    }
}

struct MergingVisitor;

impl<'de> Visitor<'de> for MergingVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Merged(item)) = items.next_element()? {
            array.push(item);
        }
        Ok(array.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Merged(value))) = entries.next_entry::<String, _>()? {
            merge(&mut object, key, value);
        }
        Ok(object.into())
    }
}

/// Puts a value that comes later into an object, as Go does where there is one already.
pub(super) fn merge(object: &mut Map<String, Value>, key: String, value: Value) {
    match (object.get_mut(&key), value) {
        (Some(Value::Object(earlier)), Value::Object(later)) => {
            for (key, value) in later {
                merge(earlier, key, value);
            }
        }
        (_, value) => {
            object.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn json_is_read_as_it_is() {
        let text = r#"{"a": [1, -2, 1.5, true, null, "\u00e4"], "b": {"c": {}}}"#;
        assert_eq!(
            parse(text.as_bytes()).unwrap(),
            json!({"a": [1, -2, 1.5, true, null, "ä"], "b": {"c": {}}})
        );
    }

    #[test]
    fn of_a_name_that_comes_twice_the_later_value_counts_and_objects_are_merged() {
        let text = r#"{"a": 1, "b": {"x": 1, "y": [1]}, "a": 2, "b": {"y": [2], "z": 3}}"#;
        assert_eq!(
            parse(text.as_bytes()).unwrap(),
            json!({"a": 2, "b": {"x": 1, "y": [2], "z": 3}})
        );
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_replaced() {
        assert_eq!(parse(b"[\"a\xff\"]").unwrap(), json!(["a\u{fffd}"]));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for text in ["", "{", "{} {}", "{\"a\" 1}", "nul", &deep] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
