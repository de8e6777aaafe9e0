use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The 64-bit id that the driver gives a board, or a partition of it (`unique_id`).
///
/// Never 0 when it comes from this crate: a `unique_id` of 0 means that the GPU has none.
///
/// Displayed as `0xE3AA140F9A5F9E31`: upper case, not padded. Parsed from that, from sysfs's
/// `e3aa140f9a5f9e31` and from ROCr's `GPU-e3aa140f9a5f9e31`, in any case, padded or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Uuid(pub u64);

impl Uuid {
    /// The id for a `unique_id` as the driver counts it; `None` for 0.
    pub fn from_unique_id(unique_id: u64) -> Option<Self> {
        (unique_id != 0).then_some(Self(unique_id))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#X}", self.0)
    }
}

/// A text that is no GPU UUID.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not a GPU UUID")]
pub struct ParseUuidError {
    text: String,
}

impl ParseUuidError {
    /// The spellings that are understood.
    pub fn hint(&self) -> Option<String> {
        Some("write it as 0xE3AA140F9A5F9E31, e3aa140f9a5f9e31 or GPU-e3aa140f9a5f9e31".to_owned())
    }
}

impl FromStr for Uuid {
    type Err = ParseUuidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = strip_prefix_ignore_case(text, "GPU-")
            .or_else(|| strip_prefix_ignore_case(text, "0x"))
            .unwrap_or(text);
        parse_hex(digits)
            .and_then(Self::from_unique_id)
            .ok_or_else(|| ParseUuidError {
                text: text.to_owned(),
            })
    }
}

impl TryFrom<String> for Uuid {
    type Error = ParseUuidError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Uuid> for String {
    fn from(uuid: Uuid) -> Self {
        uuid.to_string()
    }
}

/// 1 to 16 hexadecimal digits. `u64::from_str_radix` alone takes a sign, too.
fn parse_hex(digits: &str) -> Option<u64> {
    if digits.len() > 16 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok()
}

/// `text` without `prefix`, however it is capitalised.
pub(crate) fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_one_uuid_is_the_same_uuid() {
        for text in [
            "e3aa140f9a5f9e31",
            "E3AA140F9A5F9E31",
            "0xE3AA140F9A5F9E31",
            "0Xe3aa140f9a5f9e31",
            "GPU-e3aa140f9a5f9e31",
            "gpu-E3AA140F9A5F9E31",
        ] {
            assert_eq!(text.parse(), Ok(Uuid(0xe3aa_140f_9a5f_9e31)), "{text}");
        }
    }

    #[test]
    fn padding_does_not_matter() {
        for text in [
            "0x123456789abcdef",
            "0123456789abcdef",
            "GPU-0123456789ABCDEF",
        ] {
            assert_eq!(text.parse(), Ok(Uuid(0x0123_4567_89ab_cdef)), "{text}");
        }
    }

    #[test]
    fn display_is_upper_case_hex_without_padding() {
        assert_eq!(
            Uuid(0xe3aa_140f_9a5f_9e31).to_string(),
            "0xE3AA140F9A5F9E31"
        );
        assert_eq!(Uuid(0x0123_4567_89ab_cdef).to_string(), "0x123456789ABCDEF");
    }

    #[test]
    fn what_is_no_uuid_is_refused() {
        for text in [
            "",
            "0",
            "0x",
            "GPU-",
            "0x0000000000000000",
            "GPU-XX",
            "+1",
            "0x-1",
            "e3aa140f9a5f9e311",
            "0xGPU-1",
            "é3aa140f9a5f9e3",
        ] {
            assert!(text.parse::<Uuid>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_uuid_is_a_string_in_json() {
        let json = serde_json::to_string(&Uuid(0xab)).unwrap();
        assert_eq!(json, r#""0xAB""#);
        assert_eq!(serde_json::from_str::<Uuid>(&json).unwrap(), Uuid(0xab));
    }
}
