use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use thiserror::Error;

/// A released version of the CDI specification, in the order of release.
///
/// Consumers refuse a whole file whose version, or one field of which, they do not know. Displayed
/// and parsed as `0.6.0`; a `v` ahead of it is understood, as by the Go library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Version {
    /// 0.1.0
    V0_1,
    /// 0.2.0
    V0_2,
    /// 0.3.0
    V0_3,
    /// 0.4.0: `type` of a mount.
    V0_4,
    /// 0.5.0: device names that start with a digit, `hostPath` of a device node.
    V0_5,
    /// 0.6.0: annotations, dots in the class.
    V0_6,
    /// 0.7.0: `additionalGids`, `intelRdt`.
    V0_7,
    /// 0.8.0: nothing that a file could have.
    V0_8,
    /// 1.0.0: nothing that a file could have.
    V1_0,
    /// 1.1.0: `netDevices`, `schemata` and `enableMonitoring` of `intelRdt`.
    V1_1,
}

impl Version {
    /// Every version, oldest first.
    pub const ALL: [Self; 10] = [
        Self::V0_1,
        Self::V0_2,
        Self::V0_3,
        Self::V0_4,
        Self::V0_5,
        Self::V0_6,
        Self::V0_7,
        Self::V0_8,
        Self::V1_0,
        Self::V1_1,
    ];

    /// As it stands in `cdiVersion`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_1 => "0.1.0",
            Self::V0_2 => "0.2.0",
            Self::V0_3 => "0.3.0",
            Self::V0_4 => "0.4.0",
            Self::V0_5 => "0.5.0",
            Self::V0_6 => "0.6.0",
            Self::V0_7 => "0.7.0",
            Self::V0_8 => "0.8.0",
            Self::V1_0 => "1.0.0",
            Self::V1_1 => "1.1.0",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A text that is no version of the CDI specification.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not a CDI version; there are 0.1.0 to {}", Version::V1_1)]
pub struct ParseVersionError {
    text: String,
}

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_prefix('v').unwrap_or(text);
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == number)
            .ok_or_else(|| ParseVersionError {
                text: text.to_owned(),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_is_parsed_as_it_is_written() {
        for version in Version::ALL {
            assert_eq!(version.to_string().parse(), Ok(version));
            assert_eq!(format!("v{version}").parse(), Ok(version));
        }
    }

    #[test]
    fn versions_are_ordered_by_release() {
        assert!(Version::ALL.is_sorted());
        assert!(Version::V0_8 < Version::V1_0);
    }

    #[test]
    fn what_was_never_released_is_no_version() {
        for text in ["", "v", "0.6", "0.9.0", "1.2.0", "0.6.0 ", "vv0.6.0"] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
    }
}
