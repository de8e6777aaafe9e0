//! Messages as D-Bus puts them in bytes (D-Bus specification, "Marshaling" and "Message Format").

use std::borrow::Cow;

use super::properties::Property;

/// The type of a value that has been written by people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// `b`
    Bool,
    /// `y`
    Byte,
    /// `n`
    Int16,
    /// `q`
    Uint16,
    /// `i`
    Int32,
    /// `u`
    Uint32,
    /// `x`
    Int64,
    /// `t`
    Uint64,
    /// `d`
    Double,
    /// `s`
    Text,
    /// `o`
    Path,
    /// `a` and the type of what is in it.
    Array(Box<Type>),
}

impl Type {
    /// The type that a signature is; `None` for any other.
    pub fn of(signature: &str) -> Option<Self> {
        const DEEPEST: usize = 32;
        let element = signature.trim_start_matches('a');
        let depth = signature.len() - element.len();
        let innermost = match element {
            "b" => Self::Bool,
            "y" => Self::Byte,
            "n" => Self::Int16,
            "q" => Self::Uint16,
            "i" => Self::Int32,
            "u" => Self::Uint32,
            "x" => Self::Int64,
            "t" => Self::Uint64,
            "d" => Self::Double,
            "s" => Self::Text,
            "o" => Self::Path,
            _ => return None,
        };
        let in_array = |of, _| Self::Array(Box::new(of));
        (depth <= DEEPEST).then(|| (0..depth).fold(innermost, in_array))
    }

    /// Its signature.
    pub fn signature(&self) -> String {
        let basic = match self {
            Self::Array(of) => return format!("a{}", of.signature()),
            Self::Bool => "b",
            Self::Byte => "y",
            Self::Int16 => "n",
            Self::Uint16 => "q",
            Self::Int32 => "i",
            Self::Uint32 => "u",
            Self::Int64 => "x",
            Self::Uint64 => "t",
            Self::Double => "d",
            Self::Text => "s",
            Self::Path => "o",
        };
        basic.to_owned()
    }

    /// What it is aligned to, in bytes.
    fn alignment(&self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Int16 | Self::Uint16 => 2,
            Self::Int64 | Self::Uint64 | Self::Double => 8,
            _ => 4,
        }
    }
}

/// A value of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `b`
    Bool(bool),
    /// `y`
    Byte(u8),
    /// `n`
    Int16(i16),
    /// `q`
    Uint16(u16),
    /// `i`
    Int32(i32),
    /// `u`
    Uint32(u32),
    /// `x`
    Int64(i64),
    /// `t`
    Number(u64),
    /// `d`
    Double(f64),
    /// `s`
    Text(String),
    /// `o`
    Path(String),
    /// An array of values that are of this type.
    Array(Type, Vec<Value>),
    /// `ay`
    Bytes(Vec<u8>),
    /// `au`: process ids.
    Pids(Vec<u32>),
    /// `a(sa(sv))` of nothing: no units beside.
    NoUnits,
    /// `a(ss)`: devices, and what may be done with them.
    Devices(Vec<(String, String)>),
    /// `a(sv)`: properties of a unit.
    Properties(Vec<Property>),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Self::Number(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl Value {
    fn signature(&self) -> Cow<'static, str> {
        let known = match self {
            Self::Array(of, _) => return format!("a{}", of.signature()).into(),
            Self::Bool(_) => "b",
            Self::Byte(_) => "y",
            Self::Int16(_) => "n",
            Self::Uint16(_) => "q",
            Self::Int32(_) => "i",
            Self::Uint32(_) => "u",
            Self::Int64(_) => "x",
            Self::Number(_) => "t",
            Self::Double(_) => "d",
            Self::Text(_) => "s",
            Self::Path(_) => "o",
            Self::Bytes(_) => "ay",
            Self::Pids(_) => "au",
            Self::NoUnits => "a(sa(sv))",
            Self::Devices(_) => "a(ss)",
            Self::Properties(_) => "a(sv)",
        };
        known.into()
    }
}

/// Bytes of a message, aligned as D-Bus wants them, in little endian.
#[derive(Debug, Default)]
pub(super) struct Marshal(pub(super) Vec<u8>);

impl Marshal {
    pub(super) fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    /// A number, aligned to its own size.
    fn number<const SIZE: usize>(&mut self, bytes: [u8; SIZE]) {
        self.align(SIZE);
        self.0.extend(bytes);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.number(value.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.u32(text.len() as u32);
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.0.push(signature.len() as u8);
        self.0.extend(signature.as_bytes());
        self.0.push(0);
    }

    /// An array of elements of this alignment; its length is that of what `fill` adds.
    fn array(&mut self, alignment: usize, fill: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length = self.0.len() - 4;
        self.align(alignment);
        let begin = self.0.len();
        fill(self);
        let size = (self.0.len() - begin) as u32;
        self.0[length..length + 4].copy_from_slice(&size.to_le_bytes());
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Bool(value) => self.u32(u32::from(*value)),
            Value::Byte(value) => self.0.push(*value),
            Value::Int16(value) => self.number(value.to_le_bytes()),
            Value::Uint16(value) => self.number(value.to_le_bytes()),
            Value::Int32(value) => self.number(value.to_le_bytes()),
            Value::Uint32(value) => self.number(value.to_le_bytes()),
            Value::Int64(value) => self.number(value.to_le_bytes()),
            Value::Number(value) => self.number(value.to_le_bytes()),
            Value::Double(value) => self.number(value.to_le_bytes()),
            Value::Text(text) | Value::Path(text) => self.text(text),
            Value::Array(of, items) => self.array(of.alignment(), |out| {
                items.iter().for_each(|item| out.value(item));
            }),
            Value::Bytes(bytes) => self.array(1, |out| out.0.extend(bytes)),
            Value::Pids(pids) => self.array(4, |out| pids.iter().for_each(|pid| out.u32(*pid))),
            Value::NoUnits => self.array(8, |_| {}),
            Value::Devices(devices) => self.array(8, |out| {
                for (device, access) in devices {
                    out.align(8);
                    out.text(device);
                    out.text(access);
                }
            }),
            Value::Properties(properties) => self.array(8, |out| {
                for property in properties {
                    out.align(8);
                    out.text(&property.name);
                    out.signature(&property.value.signature());
                    out.value(&property.value);
                }
            }),
        }
    }
}

/// A method call of `org.freedesktop.systemd1.Manager`.
pub(super) fn method_call(serial: u32, member: &str, arguments: &[Value]) -> Vec<u8> {
    let mut body = Marshal::default();
    let mut signature = String::new();
    for argument in arguments {
        signature.push_str(&argument.signature());
        body.value(argument);
    }
    const LITTLE_ENDIAN: u8 = b'l';
    const METHOD_CALL: u8 = 1;
    const NO_FLAGS: u8 = 0;
    const PROTOCOL: u8 = 1;
    let mut message = Marshal(vec![LITTLE_ENDIAN, METHOD_CALL, NO_FLAGS, PROTOCOL]);
    message.u32(body.0.len() as u32);
    message.u32(serial);
    message.array(8, |out| {
        for (code, kind, text) in [
            (1, "o", "/org/freedesktop/systemd1"),
            (2, "s", "org.freedesktop.systemd1.Manager"),
            (3, "s", member),
            (6, "s", "org.freedesktop.systemd1"),
        ] {
            out.align(8);
            out.0.push(code);
            out.signature(kind);
            out.text(text);
        }
        out.align(8);
        out.0.push(8);
        out.signature("g");
        out.signature(&signature);
    });
    message.align(8);
    message.0.extend(body.0);
    message.0
}

/// Code of the header field MEMBER.
pub(super) const MEMBER: u8 = 3;
/// Code of the header field ERROR_NAME.
pub(super) const ERROR_NAME: u8 = 4;

/// A header field that is a string: `CODE 1 's' 0 LENGTH text 0`.
pub(super) fn header_field(fields: &[u8], code: u8) -> String {
    let starts = |window: &[u8]| window == [code, 1, b's', 0];
    let at = fields.windows(4).position(starts);
    at.map_or_else(String::new, |at| first_text(&fields[at + 4..]))
}

/// The string that these bytes begin with.
pub(super) fn first_text(bytes: &[u8]) -> String {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return String::new();
    };
    let length = u32::from_le_bytes(*length) as usize;
    let text = rest.get(..length).unwrap_or_default();
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_what_the_specification_says() {
        let call = method_call(7, "StopUnit", &["a.scope".into(), "replace".into()]);
        assert_eq!(call[..4], [b'l', 1, 0, 1]);
        // s "a.scope" is 12 bytes, s "replace" 12 more.
        assert_eq!(call[4..12], [24, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(call.len() % 8, 0);
        let body = &call[call.len() - 24..];
        assert_eq!(body, b"\x07\0\0\0a.scope\0\x07\0\0\0replace\0");
        let text = String::from_utf8_lossy(&call);
        for field in [
            "\x01\x01o\0",
            "/org/freedesktop/systemd1\0",
            "\x08\x01g\0\x02ss\0",
        ] {
            assert!(text.contains(field), "{field:?} in {text:?}");
        }
    }

    #[test]
    fn properties_are_structs_aligned_to_eight_bytes() {
        let mut out = Marshal::default();
        out.value(&Value::Properties(vec![
            Property::new("A", "xy"),
            Property::new("B", 5_u64),
        ]));
        let mut expected = vec![44, 0, 0, 0, 0, 0, 0, 0];
        expected.extend(b"\x01\0\0\0A\0\x01s\0\0\0\0\x02\0\0\0xy\0\0\0\0\0\0");
        expected.extend(b"\x01\0\0\0B\0\x01t\0\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0");
        assert_eq!(out.0[8..], expected[8..]);
        assert_eq!(out.0.len(), expected.len());
        assert_eq!(out.0[0] as usize, expected.len() - 8);
    }

    #[test]
    fn values_of_all_types_are_aligned_to_their_size() {
        let texts = Value::Array(Type::Text, vec!["a".into(), "b".into()]);
        let wide = Value::Array(Type::Uint64, vec![1_u64.into()]);
        for (value, signature, bytes) in [
            (Value::Byte(1), "y", &b"\x01"[..]),
            (Value::Int16(-2), "n", b"\0\xfe\xff"),
            (Value::Uint16(2), "q", b"\0\x02\0"),
            (Value::Int32(-2), "i", b"\0\0\0\xfe\xff\xff\xff"),
            (Value::Int64(2), "x", b"\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0"),
            (Value::Double(2.0), "d", b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x40"),
            (Value::Path("/".into()), "o", b"\0\0\0\x01\0\0\0/\0"),
            (
                texts,
                "as",
                b"\0\0\0\x0e\0\0\0\x01\0\0\0a\0\0\0\x01\0\0\0b\0",
            ),
            (wide, "at", b"\0\0\0\x08\0\0\0\x01\0\0\0\0\0\0\0"),
        ] {
            let mut out = Marshal(vec![b'x']);
            out.value(&value);
            assert_eq!(&out.0[1..], bytes, "{value:?}");
            assert_eq!(value.signature(), signature);
            assert_eq!(
                Type::of(signature).map(|kind| kind.signature()).as_deref(),
                Some(signature)
            );
        }
    }

    #[test]
    fn lists_of_processes_and_of_no_units_are_arrays() {
        let mut out = Marshal::default();
        out.value(&Value::Pids(vec![1, 0x203]));
        out.value(&Value::NoUnits);
        assert_eq!(out.0, [8, 0, 0, 0, 1, 0, 0, 0, 3, 2, 0, 0, 0, 0, 0, 0]);
    }
}
