//! Container ids.

use std::fmt;

/// A container id that is safe as a file name and as a cgroup name.
///
/// The rule is runc's: one or more of `A-Z a-z 0-9 _ + - .`, and neither `.` nor
/// `..`. Every command parses its id into this type before it touches a path, so
/// that no id can climb out of the state root.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(String);

/// An id that cannot name a container.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidId {
    /// The id has no character.
    #[error("container id cannot be empty")]
    Empty,
    /// The id holds a character outside the rule, or is `.` or `..`.
    #[error("invalid container ID format {0:?}: only A-Z a-z 0-9 _ + - . are allowed")]
    Format(String),
}

/// Longest id: what a file name may be (`NAME_MAX`).
const LONGEST: usize = 255;

impl ContainerId {
    /// Checks `id` against the rule.
    ///
    /// # Errors
    /// [`InvalidId`] where the rule does not hold.
    pub fn new(id: impl Into<String>) -> Result<Self, InvalidId> {
        let id = id.into();
        if id.is_empty() {
            return Err(InvalidId::Empty);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '+' | '-' | '.');
        if id == "." || id == ".." || id.len() > LONGEST || !id.chars().all(allowed) {
            return Err(InvalidId::Format(id));
        }
        Ok(Self(id))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for ContainerId {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        Self::new(s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_runc_takes_are_taken() {
        for id in ["a", "web-1", "a.b", "...", "x_y+z", "0123abcd", ".hidden"] {
            assert!(ContainerId::new(id).is_ok(), "{id}");
        }
    }

    #[test]
    fn ids_that_could_leave_the_state_root_are_refused() {
        for id in [
            "",
            ".",
            "..",
            "../victim",
            "a/b",
            "a b",
            "a\0",
            "ä",
            "a\n",
            "*",
        ] {
            assert!(ContainerId::new(id).is_err(), "{id:?}");
        }
        assert!(ContainerId::new("x".repeat(256)).is_err());
    }
}
