//! What can be done with a device node: read, write, mknod.

use std::fmt;
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Not};

/// A set of the accesses read, write and mknod. The bits are the kernel's `BPF_DEVCG_ACC_*`.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Access(u8);

impl Access {
    /// No access.
    pub const NONE: Self = Self(0);
    /// `m`: create the node.
    pub const MKNOD: Self = Self(1);
    /// `r`: open for reading.
    pub const READ: Self = Self(2);
    /// `w`: open for writing.
    pub const WRITE: Self = Self(4);
    /// `rwm`.
    pub const ALL: Self = Self(7);

    /// Parses letters of `rwm`, in any order. `None` at any other character.
    pub fn parse(letters: &str) -> Option<Self> {
        letters.chars().try_fold(Self::NONE, |access, letter| {
            let bit = match letter {
                'r' => Self::READ,
                'w' => Self::WRITE,
                'm' => Self::MKNOD,
                _ => return None,
            };
            Some(access | bit)
        })
    }

    /// The bits as the kernel's `BPF_DEVCG_ACC_*`.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every access of `other` is in this set.
    pub fn contains(self, other: Self) -> bool {
        self & other == other
    }

    /// Whether any access is in both sets.
    pub fn intersects(self, other: Self) -> bool {
        !(self & other).is_empty()
    }
}

impl BitOr for Access {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Access {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl BitAnd for Access {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitAndAssign for Access {
    fn bitand_assign(&mut self, other: Self) {
        *self = *self & other;
    }
}

impl Not for Access {
    type Output = Self;
    fn not(self) -> Self {
        Self(!self.0 & Self::ALL.0)
    }
}

/// The letters in the kernel's order, `rwm`.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (bit, letter) in [(Self::READ, "r"), (Self::WRITE, "w"), (Self::MKNOD, "m")] {
            if self.contains(bit) {
                f.write_str(letter)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Access({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_is_written_in_the_order_of_the_kernel() {
        for (letters, expected) in [("mwr", "rwm"), ("mr", "rm"), ("w", "w"), ("", "")] {
            assert_eq!(Access::parse(letters).unwrap().to_string(), expected);
        }
        assert_eq!(Access::parse("rx"), None);
        assert_eq!((!Access::READ).to_string(), "wm");
    }

    #[test]
    fn accesses_are_sets() {
        let open = Access::READ | Access::WRITE;
        assert!(open.contains(Access::READ) && !Access::READ.contains(open));
        assert!(open.intersects(Access::ALL) && !open.intersects(Access::MKNOD));
        assert_eq!(!open, Access::MKNOD);
        assert!((open & Access::MKNOD).is_empty());
    }
}
