//! Values as people write them: GVariant's text format, from
//! <https://docs.gtk.org/glib/gvariant-text-format.html>, as far as properties of units need it.
//! Without a type in front a number is an `int32`, or a `double` where it has a point or an
//! exponent.

use std::iter::Peekable;
use std::str::Chars;

use super::wire::{Type, Value};

/// D-Bus lets arrays be in each other this deep.
const DEEPEST: usize = 32;

/// Why a text is no value.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// The text ends in the middle.
    #[error("it ends too early")]
    Ends,
    /// Something is where it cannot be.
    #[error("unexpected {0:?}")]
    Unexpected(String),
    /// What is no type, or one that properties do not have.
    #[error("{0:?} is none of boolean, byte, int16 to uint64, double, string, objectpath, @TYPE")]
    UnknownType(String),
    /// A value that is not of its type, or beyond it.
    #[error("{text} is no {kind}")]
    NotOfType {
        /// What stands there.
        text: String,
        /// The type, as a signature of D-Bus.
        kind: String,
    },
    /// An empty array does not tell what it is an array of.
    #[error("an array of nothing needs a type, as in @as []")]
    NoType,
    /// Too many arrays in each other.
    #[error("arrays are more than {DEEPEST} deep")]
    TooDeep,
}

/// The value that a text is.
///
/// # Errors
/// Where it is none, or of a type that no property of a unit has (dictionaries, tuples, variants).
pub fn value_of(text: &str) -> Result<Value, TextError> {
    let mut parser = Parser(text.chars().peekable());
    let node = parser.node(0, false)?;
    parser.skip_blanks();
    if parser.0.peek().is_some() {
        return Err(TextError::Unexpected(parser.0.collect()));
    }
    let kind = node.kind().ok_or(TextError::NoType)?;
    node.into_value(&kind)
}

/// A value whose type may not be known yet.
enum Node {
    Bool(bool),
    /// As it is written.
    Number(String),
    Text(String),
    Bytes(Vec<u8>),
    Array(Vec<Node>),
    Typed(Type, Box<Node>),
}

impl Node {
    /// The type that it has, or that is taken where none is written.
    fn kind(&self) -> Option<Type> {
        self.written_kind().or_else(|| match self {
            Self::Number(text) if is_fraction(text) => Some(Type::Double),
            Self::Number(_) => Some(Type::Int32),
            Self::Text(_) => Some(Type::Text),
            Self::Array(items) => {
                let of = items.iter().find_map(Self::kind)?;
                Some(Type::Array(Box::new(of)))
            }
            _ => None,
        })
    }

    /// The type that it can only have.
    fn written_kind(&self) -> Option<Type> {
        match self {
            Self::Bool(_) => Some(Type::Bool),
            Self::Bytes(_) => Some(Type::Array(Box::new(Type::Byte))),
            Self::Typed(kind, _) => Some(kind.clone()),
            Self::Array(items) => {
                let of = items.iter().find_map(Self::written_kind)?;
                Some(Type::Array(Box::new(of)))
            }
            Self::Number(_) | Self::Text(_) => None,
        }
    }

    fn into_value(self, kind: &Type) -> Result<Value, TextError> {
        let not_of_type = |text: String| TextError::NotOfType {
            text,
            kind: kind.signature(),
        };
        Ok(match (self, kind) {
            (Self::Typed(own, node), _) if own == *kind => node.into_value(kind)?,
            (Self::Bool(value), Type::Bool) => Value::Bool(value),
            (Self::Bytes(bytes), Type::Array(of)) if **of == Type::Byte => Value::Bytes(bytes),
            (Self::Text(text), Type::Text) => Value::Text(text),
            (Self::Text(text), Type::Path) if is_object_path(&text) => Value::Path(text),
            (Self::Number(text), _) => number(&text, kind).ok_or_else(|| not_of_type(text))?,
            (Self::Array(items), Type::Array(of)) => {
                let items: Result<_, _> =
                    items.into_iter().map(|item| item.into_value(of)).collect();
                Value::Array((**of).clone(), items?)
            }
            (Self::Text(text), _) => return Err(not_of_type(format!("{text:?}"))),
            (Self::Bool(value), _) => return Err(not_of_type(value.to_string())),
            (Self::Bytes(_), _) => return Err(not_of_type("a string of bytes".into())),
            (Self::Array(_), _) => return Err(not_of_type("an array".into())),
            (Self::Typed(own, _), _) => return Err(not_of_type(format!("@{}", own.signature()))),
        })
    }
}

fn is_fraction(number: &str) -> bool {
    !number.contains('x') && number.contains(['.', 'e', 'E'])
}

/// A number of this type; `None` where it is none, or out of range.
fn number(text: &str, kind: &Type) -> Option<Value> {
    if *kind == Type::Double {
        return Some(Value::Double(text.parse().ok()?));
    }
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let (digits, base) = match digits.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None if digits.len() > 1 && digits.starts_with('0') => (&digits[1..], 8),
        None => (digits, 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let number = sign * i128::from(u64::from_str_radix(digits, base).ok()?);
    Some(match kind {
        Type::Byte => Value::Byte(number.try_into().ok()?),
        Type::Int16 => Value::Int16(number.try_into().ok()?),
        Type::Uint16 => Value::Uint16(number.try_into().ok()?),
        Type::Int32 => Value::Int32(number.try_into().ok()?),
        Type::Uint32 => Value::Uint32(number.try_into().ok()?),
        Type::Int64 => Value::Int64(number.try_into().ok()?),
        Type::Uint64 => Value::Number(number.try_into().ok()?),
        _ => return None,
    })
}

/// D-Bus specification, "Valid Object Paths".
fn is_object_path(text: &str) -> bool {
    let is_name = |part: &str| {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        !part.is_empty() && part.chars().all(is_of_name)
    };
    text == "/"
        || text
            .strip_prefix('/')
            .is_some_and(|rest| rest.split('/').all(is_name))
}

fn keyword(word: &str) -> Option<Type> {
    Some(match word {
        "boolean" => Type::Bool,
        "byte" => Type::Byte,
        "int16" => Type::Int16,
        "uint16" => Type::Uint16,
        "int32" => Type::Int32,
        "uint32" => Type::Uint32,
        "int64" => Type::Int64,
        "uint64" => Type::Uint64,
        "double" => Type::Double,
        "string" => Type::Text,
        "objectpath" => Type::Path,
        _ => return None,
    })
}

struct Parser<'t>(Peekable<Chars<'t>>);

impl Parser<'_> {
    fn skip_blanks(&mut self) {
        while self.0.next_if(|c| c.is_ascii_whitespace()).is_some() {}
    }

    fn next(&mut self) -> Result<char, TextError> {
        self.0.next().ok_or(TextError::Ends)
    }

    /// The characters from here on that are of one kind.
    fn all(&mut self, is: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while let Some(c) = self.0.next_if(|c| is(*c)) {
            taken.push(c);
        }
        taken
    }

    /// A value within `depth` arrays; `has_type` where one stands in front of it already.
    fn node(&mut self, depth: usize, has_type: bool) -> Result<Node, TextError> {
        self.skip_blanks();
        match *self.0.peek().ok_or(TextError::Ends)? {
            '[' => self.array(depth + 1),
            quote @ ('\'' | '"') => Ok(Node::Text(self.text(quote)?)),
            '@' if !has_type => {
                self.next()?;
                let signature = self.all(|c| !c.is_ascii_whitespace());
                match Type::of(&signature) {
                    Some(kind) => self.typed(kind, depth),
                    None => Err(TextError::UnknownType(format!("@{signature}"))),
                }
            }
            c if c.is_ascii_digit() || matches!(c, '+' | '-' | '.') => {
                Ok(Node::Number(self.all(|c| {
                    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
                })))
            }
            c if c.is_ascii_alphabetic() => {
                let word = self.all(|c| c.is_ascii_alphanumeric());
                match (word.as_str(), self.0.peek()) {
                    ("b", Some(&quote @ ('\'' | '"'))) => Ok(Node::Bytes(self.bytes(quote)?)),
                    ("true", _) => Ok(Node::Bool(true)),
                    ("false", _) => Ok(Node::Bool(false)),
                    _ => match keyword(&word) {
                        Some(_) if has_type => Err(TextError::Unexpected(word)),
                        Some(kind) => self.typed(kind, depth),
                        None => Err(TextError::UnknownType(word)),
                    },
                }
            }
            _ => Err(TextError::Unexpected(self.0.by_ref().collect())),
        }
    }

    fn typed(&mut self, kind: Type, depth: usize) -> Result<Node, TextError> {
        Ok(Node::Typed(kind, Box::new(self.node(depth, true)?)))
    }

    fn array(&mut self, depth: usize) -> Result<Node, TextError> {
        if depth > DEEPEST {
            return Err(TextError::TooDeep);
        }
        self.next()?;
        let mut items = Vec::new();
        self.skip_blanks();
        if self.0.next_if_eq(&']').is_some() {
            return Ok(Node::Array(items));
        }
        loop {
            items.push(self.node(depth, false)?);
            self.skip_blanks();
            match self.next()? {
                ']' => return Ok(Node::Array(items)),
                ',' => {}
                other => return Err(TextError::Unexpected(other.into())),
            }
        }
    }

    fn text(&mut self, quote: char) -> Result<String, TextError> {
        self.next()?;
        let mut text = String::new();
        loop {
            let c = match self.next()? {
                '\\' => match self.next()? {
                    '\n' => continue,
                    'u' => self.code(4)?,
                    'U' => self.code(8)?,
                    other => control(other).unwrap_or(other),
                },
                c if c == quote => return Ok(text),
                c => c,
            };
            if c == '\0' {
                return Err(TextError::Unexpected("\0".into()));
            }
            text.push(c);
        }
    }

    /// A character by its code in hexadecimal digits.
    fn code(&mut self, digits: usize) -> Result<char, TextError> {
        let mut code = String::new();
        for _ in 0..digits {
            code.push(self.next()?);
        }
        let number = u32::from_str_radix(&code, 16).ok();
        let c = number
            .filter(|_| !code.starts_with('+'))
            .and_then(char::from_u32);
        c.ok_or(TextError::Unexpected(code))
    }

    /// A string of bytes, with the byte 0 that ends it.
    fn bytes(&mut self, quote: char) -> Result<Vec<u8>, TextError> {
        self.next()?;
        let mut bytes = Vec::new();
        loop {
            let c = match self.next()? {
                '\\' => match self.next()? {
                    '\n' => continue,
                    first @ '0'..='7' => {
                        bytes.push(self.octal(first)?);
                        continue;
                    }
                    other => control(other).unwrap_or(other),
                },
                c if c == quote => {
                    bytes.push(0);
                    return Ok(bytes);
                }
                c => c,
            };
            let mut utf8 = [0; 4];
            bytes.extend(c.encode_utf8(&mut utf8).bytes());
        }
    }

    /// A byte by up to three octal digits.
    fn octal(&mut self, first: char) -> Result<u8, TextError> {
        let mut digits = String::from(first);
        while digits.len() < 3
            && let Some(digit) = self.0.next_if(|c| matches!(c, '0'..='7'))
        {
            digits.push(digit);
        }
        u8::from_str_radix(&digits, 8).map_err(|_| TextError::Unexpected(digits))
    }
}

/// The control character that a letter stands for after a backslash.
fn control(letter: char) -> Option<char> {
    Some(match letter {
        'a' => '\x07',
        'b' => '\x08',
        'f' => '\x0c',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\x0b',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_the_values_that_glib_takes_them_for() {
        let texts = |all: &[&str]| {
            let items = all.iter().map(|text| (*text).into()).collect();
            Value::Array(Type::Text, items)
        };
        for (text, value) in [
            ("true", true.into()),
            (" false ", false.into()),
            ("boolean true", true.into()),
            ("5", Value::Int32(5)),
            ("-5", Value::Int32(-5)),
            ("+0x1F", Value::Int32(31)),
            ("010", Value::Int32(8)),
            ("0", Value::Int32(0)),
            ("1.5", Value::Double(1.5)),
            ("1e3", Value::Double(1000.0)),
            ("double 2", Value::Double(2.0)),
            ("byte 255", Value::Byte(255)),
            ("int16 -32768", Value::Int16(-32768)),
            ("uint16 65535", Value::Uint16(65535)),
            ("uint32 0xffffffff", Value::Uint32(u32::MAX)),
            ("int64 -9223372036854775808", Value::Int64(i64::MIN)),
            ("uint64 18446744073709551615", u64::MAX.into()),
            ("@t 7", 7_u64.into()),
            ("'a b'", "a b".into()),
            (r#""it's""#, "it's".into()),
            (r"'\t\'\\\u00e9\U0001f600'", "\t'\\é😀".into()),
            ("string 'x'", "x".into()),
            ("objectpath '/a/b_1'", Value::Path("/a/b_1".into())),
            ("b'a\\101\\n'", Value::Bytes(b"aA\n\0".to_vec())),
            ("['a', 'b']", texts(&["a", "b"])),
            ("@as []", texts(&[])),
            ("@as ['a']", texts(&["a"])),
            (
                "[1, uint64 2]",
                Value::Array(Type::Uint64, vec![1_u64.into(), 2_u64.into()]),
            ),
            (
                "[[], ['a']]",
                Value::Array(
                    Type::Array(Box::new(Type::Text)),
                    vec![texts(&[]), texts(&["a"])],
                ),
            ),
            ("@ay [1]", Value::Array(Type::Byte, vec![Value::Byte(1)])),
        ] {
            assert_eq!(value_of(text).as_ref(), Ok(&value), "{text}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused() {
        let unexpected = |what: &str| TextError::Unexpected(what.into());
        let no = |text: &str, kind: &str| TextError::NotOfType {
            text: text.into(),
            kind: kind.into(),
        };
        let unknown = |what: &str| TextError::UnknownType(what.into());
        for (text, error) in [
            ("", TextError::Ends),
            ("'a", TextError::Ends),
            ("[1, ", TextError::Ends),
            ("uint64", TextError::Ends),
            ("invalid-value", unknown("invalid")),
            ("yes", unknown("yes")),
            ("True", unknown("True")),
            ("@v <1>", unknown("@v")),
            ("@(ss) ('a', 'b')", unknown("@(ss)")),
            ("@a 1", unknown("@a")),
            ("@asx ['a']", unknown("@asx")),
            ("signature 's'", unknown("signature")),
            ("{'a': 1}", unexpected("{'a': 1}")),
            ("<1>", unexpected("<1>")),
            ("5 6", unexpected("6")),
            ("[1 2]", unexpected("2")),
            ("uint32 uint64 5", unexpected("uint64")),
            ("@t @t 5", unexpected("@t 5")),
            (r"'\u00zz'", unexpected("00zz")),
            (r"'\ud800'", unexpected("d800")),
            (r"'\u0000'", unexpected("\0")),
            ("b'\\777'", unexpected("777")),
            ("[]", TextError::NoType),
            ("[[]]", TextError::NoType),
            ("5s", no("5s", "i")),
            ("0x", no("0x", "i")),
            ("09", no("09", "i")),
            ("--5", no("--5", "i")),
            ("4294967296", no("4294967296", "i")),
            ("byte 256", no("256", "y")),
            ("uint64 -1", no("-1", "t")),
            ("uint64 1.5", no("1.5", "t")),
            ("uint64 'a'", no("\"a\"", "t")),
            ("string 5", no("5", "s")),
            ("boolean 1", no("1", "b")),
            ("string true", no("true", "s")),
            ("objectpath 'a'", no("\"a\"", "o")),
            ("objectpath '/a/'", no("\"/a/\"", "o")),
            ("['a', 5]", no("5", "s")),
            ("[byte 1, uint64 2]", no("@t", "y")),
            ("@s b'a'", no("a string of bytes", "s")),
            ("@s ['a']", no("an array", "s")),
        ] {
            assert_eq!(value_of(text), Err(error), "{text}");
        }
        let deep = |levels| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(value_of(&deep(DEEPEST)).is_ok());
        assert_eq!(value_of(&deep(DEEPEST + 1)), Err(TextError::TooDeep));
        assert_eq!(value_of(&"[".repeat(1 << 20)), Err(TextError::TooDeep));
    }
}
