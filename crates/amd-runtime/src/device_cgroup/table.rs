//! What a list of device rules comes to: the state that the v1 devices controller has after the
//! rules were written one by one (Linux, `security/device_cgroup.c`), and the one that the v2
//! program is made from.
//!
//! The state is a default and exceptions from it. Rules of type `a` set the default and drop the
//! exceptions; every other rule adds an exception or takes access from one with exactly the same
//! type and numbers.
//!
//! The kernel silently ignores a rule that asks for a part of an exception (`deny c 226:129` after
//! `allow c 226:*`) or for a range around it (`deny c 226:*` after `allow c 226:128`). The OCI spec
//! says that rules apply in order, so neither may be ignored: such a list is refused. runc refuses
//! the first kind too.

use std::collections::BTreeMap;
use std::fmt;

use super::access::Access;
use super::rule::{DeviceKind, DeviceRule, NodeKind, default_rules};

/// The devices of an exception: a type and numbers, `None` being the wildcard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceRange {
    /// The type.
    pub kind: NodeKind,
    /// The major number.
    pub major: Option<u32>,
    /// The minor number.
    pub minor: Option<u32>,
}

impl DeviceRange {
    /// The devices that `rule` is about; `None` for a rule of type `a`.
    pub fn of(rule: &DeviceRule) -> Option<Self> {
        let kind = match rule.kind {
            DeviceKind::All => return None,
            DeviceKind::Char => NodeKind::Char,
            DeviceKind::Block => NodeKind::Block,
        };
        Some(Self {
            kind,
            major: rule.major,
            minor: rule.minor,
        })
    }

    /// Whether the device `major:minor` is in this range.
    fn covers(self, kind: NodeKind, major: u32, minor: u32) -> bool {
        self.overlaps(Self {
            kind,
            major: Some(major),
            minor: Some(minor),
        })
    }

    /// Whether some device is in both ranges.
    fn overlaps(self, other: Self) -> bool {
        let meet = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
        self.kind == other.kind && meet(self.major, other.major) && meet(self.minor, other.minor)
    }
}

/// As in `devices.list`: `c 226:*`.
impl fmt::Display for DeviceRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<u32>| number.map_or("*".to_string(), |n| n.to_string());
        write!(
            f,
            "{} {}:{}",
            DeviceKind::from(self.kind).letter(),
            number(self.major),
            number(self.minor)
        )
    }
}

/// The devices that a cgroup may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceTable {
    default_allow: bool,
    exceptions: BTreeMap<DeviceRange, Access>,
}

/// A list of rules that means one thing when read in order and another to the kernel.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "device rule {index} ({rule}) is about some of the devices of an earlier rule ({earlier} \
     {access}) and not about the same ones: the kernel would ignore it"
)]
pub struct TableError {
    /// Position of the rule, from 0.
    pub index: usize,
    /// The rule that the kernel would not follow.
    pub rule: DeviceRule,
    /// The devices of the earlier rule that it runs into.
    pub earlier: DeviceRange,
    /// What that rule says about both.
    pub access: Access,
}

impl TableError {
    /// The way out.
    pub fn hint(&self) -> Option<String> {
        Some(
            "name the same devices in both rules, or list only what is allowed after a rule that \
             denies all"
                .to_string(),
        )
    }
}

impl DeviceTable {
    /// The table of a cgroup where nothing is allowed.
    pub fn deny_all() -> Self {
        Self {
            default_allow: false,
            exceptions: BTreeMap::new(),
        }
    }

    /// The table of a container whose spec has these rules: starting from deny-all, `rules` in
    /// their order, then [`default_rules`].
    ///
    /// # Errors
    /// A rule that the kernel would ignore in part or in whole. Default rules never fail: they add
    /// to an allow list, and where the spec allows everything but some devices, they lift exactly
    /// the exceptions that they name, as on v1.
    pub fn of_container(rules: &[DeviceRule]) -> Result<Self, TableError> {
        let mut table = Self::from_rules(rules)?;
        for rule in default_rules() {
            table.apply(&rule);
        }
        Ok(table)
    }

    /// The table of `rules` alone, from deny-all on.
    ///
    /// # Errors
    /// A rule that the kernel would ignore in part or in whole.
    pub fn from_rules(rules: &[DeviceRule]) -> Result<Self, TableError> {
        let mut table = Self::deny_all();
        for (index, rule) in rules.iter().enumerate() {
            if let Some((earlier, access)) = table.partly_ignored(rule) {
                return Err(TableError {
                    index,
                    rule: *rule,
                    earlier,
                    access,
                });
            }
            table.apply(rule);
        }
        Ok(table)
    }

    /// Whether whatever has no exception is allowed (a deny list rather than an allow list).
    pub fn default_allow(&self) -> bool {
        self.default_allow
    }

    /// The exceptions from the default, sorted, each with some access.
    pub fn exceptions(&self) -> impl ExactSizeIterator<Item = (DeviceRange, Access)> {
        self.exceptions
            .iter()
            .map(|(range, access)| (*range, *access))
    }

    /// The shortest list of rules that makes this table: the default, then the exceptions.
    pub fn to_rules(&self) -> Vec<DeviceRule> {
        let default = if self.default_allow {
            DeviceRule::ALLOW_ALL
        } else {
            DeviceRule::DENY_ALL
        };
        let exceptions = self.exceptions().map(|(range, access)| {
            DeviceRule::new(
                !self.default_allow,
                range.kind.into(),
                range.major,
                range.minor,
                access,
            )
        });
        std::iter::once(default).chain(exceptions).collect()
    }

    /// Whether `access` to the device is allowed, all of it in one request.
    ///
    /// As in the kernel, one exception of an allow list has to hold all of the access (`allow r` and
    /// `allow w` of overlapping ranges do not add up to an open for both), and in a deny list any
    /// exception with some of it is enough to deny.
    pub fn allows(&self, kind: NodeKind, major: u32, minor: u32, access: Access) -> bool {
        let mut covering = self
            .exceptions
            .iter()
            .filter(|(range, _)| range.covers(kind, major, minor))
            .map(|(_, exception)| *exception);
        if self.default_allow {
            !covering.any(|exception| exception.intersects(access))
        } else {
            covering.any(|exception| exception.contains(access))
        }
    }

    /// Applies a rule as the v1 controller does.
    pub fn apply(&mut self, rule: &DeviceRule) {
        let Some(range) = DeviceRange::of(rule) else {
            *self = Self {
                default_allow: rule.allow,
                exceptions: BTreeMap::new(),
            };
            return;
        };
        if rule.access.is_empty() {
            return;
        }
        if rule.allow != self.default_allow {
            *self.exceptions.entry(range).or_default() |= rule.access;
        } else if let Some(exception) = self.exceptions.get_mut(&range) {
            *exception &= !rule.access;
            if exception.is_empty() {
                self.exceptions.remove(&range);
            }
        }
    }

    /// The exception that `rule` would have to split or to swallow.
    fn partly_ignored(&self, rule: &DeviceRule) -> Option<(DeviceRange, Access)> {
        let range = DeviceRange::of(rule)?;
        if rule.allow != self.default_allow {
            return None;
        }
        self.exceptions()
            .filter(|(other, _)| *other != range && other.overlaps(range))
            .map(|(other, access)| (other, access & rule.access))
            .find(|(_, access)| !access.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::NodeKind::{Block, Char};
    use super::*;
    use crate::device_cgroup::random_rules::{RandomRules, requests};
    use crate::device_cgroup::v1;

    fn rules(lines: &[&str]) -> Vec<DeviceRule> {
        lines.iter().map(|line| v1::tests::rule(line)).collect()
    }

    fn table(lines: &[&str]) -> DeviceTable {
        DeviceTable::from_rules(&rules(lines)).unwrap()
    }

    fn written(table: &DeviceTable) -> Vec<String> {
        table.to_rules().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn nothing_is_allowed_without_rules() {
        assert_eq!(written(&table(&[])), ["deny a *:* rwm"]);
        assert!(!table(&[]).allows(Char, 1, 3, Access::READ));
    }

    #[test]
    fn rules_come_to_a_default_and_exceptions() {
        let cases: &[(&[&str], &[&str])] = &[
            (
                &["deny a *:* rwm", "allow c 226:128 rw", "allow c 226:128 m"],
                &["deny a *:* rwm", "allow c 226:128 rwm"],
            ),
            (
                &["allow c 1:3 rwm", "deny c 1:3 w"],
                &["deny a *:* rwm", "allow c 1:3 rm"],
            ),
            (&["allow c 1:3 rwm", "deny c 1:3 rwm"], &["deny a *:* rwm"]),
            (&["allow c 1:3 rwm", "deny a *:* rwm"], &["deny a *:* rwm"]),
            (&["deny c 10:229 rwm"], &["deny a *:* rwm"]),
            (&["allow a *:* rwm", "allow c 1:3 r"], &["allow a *:* rwm"]),
            (
                &[
                    "allow a *:* rwm",
                    "deny c 226:* rw",
                    "deny b 8:0 w",
                    "allow b 8:0 w",
                ],
                &["allow a *:* rwm", "deny c 226:* rw"],
            ),
            // A wildcard of one type does not touch the other type.
            (
                &["allow c *:* m", "deny b 8:0 rwm"],
                &["deny a *:* rwm", "allow c *:* m"],
            ),
        ];
        for (list, expected) in cases {
            assert_eq!(written(&table(list)), *expected, "{list:?}");
        }
    }

    #[test]
    fn rules_of_type_a_mean_everything_whatever_they_say() {
        let only_reading = DeviceRule::new(true, DeviceKind::All, Some(1), Some(3), Access::READ);
        let table = DeviceTable::from_rules(&[only_reading]).unwrap();
        assert!(table.allows(Block, 8, 0, Access::ALL));
    }

    #[test]
    fn rules_that_the_kernel_would_ignore_are_refused() {
        let cases: &[(&[&str], usize, &str)] = &[
            (
                &["allow c 226:* rwm", "deny c 226:129 rwm"],
                1,
                "c 226:* rwm",
            ),
            (&["allow c 226:128 rwm", "deny c 226:* w"], 1, "c 226:128 w"),
            (&["allow c *:* m", "deny c 10:229 rwm"], 1, "c *:* m"),
            (&["allow c *:7 rw", "deny c 1:* w"], 1, "c *:7 w"),
            (
                &["allow a *:* rwm", "deny c 226:* rwm", "allow c 226:128 rwm"],
                2,
                "c 226:* rwm",
            ),
        ];
        for (list, index, earlier) in cases {
            let error = DeviceTable::from_rules(&rules(list)).unwrap_err();
            assert_eq!(error.index, *index);
            assert_eq!(format!("{} {}", error.earlier, error.access), *earlier);
        }
        // The same shapes, where the accesses or the devices do not meet.
        table(&["allow c 226:* rw", "deny c 226:129 m"]);
        table(&["allow c *:7 rw", "deny c 1:8 rw"]);
    }

    #[test]
    fn one_exception_has_to_allow_the_whole_request() {
        let split = table(&["allow c 226:* r", "allow c 226:128 w"]);
        assert!(split.allows(Char, 226, 128, Access::READ));
        assert!(split.allows(Char, 226, 128, Access::WRITE));
        assert!(!split.allows(Char, 226, 128, Access::READ | Access::WRITE));

        let deny_list = table(&["allow a *:* rwm", "deny c 1:3 w"]);
        assert!(deny_list.allows(Char, 1, 3, Access::READ));
        assert!(!deny_list.allows(Char, 1, 3, Access::READ | Access::WRITE));
    }

    #[test]
    fn a_container_gets_the_default_rules_after_its_own() {
        let docker = rules(&["deny a *:* rwm", "allow c 226:128 rwm", "deny c 10:229 rwm"]);
        let table = DeviceTable::of_container(&docker).unwrap();
        assert!(table.allows(Char, 226, 128, Access::READ | Access::WRITE));
        assert!(!table.allows(Char, 226, 129, Access::READ));
        assert!(table.allows(Char, 1, 3, Access::READ | Access::WRITE));
        assert!(table.allows(Char, 136, 5, Access::READ | Access::WRITE));
        // mknod of everything is among them, opening what was made is not.
        assert!(table.allows(Char, 226, 129, Access::MKNOD));
        assert!(table.allows(Block, 8, 0, Access::MKNOD));
        assert!(!table.allows(Char, 10, 229, Access::READ));
    }

    #[test]
    fn default_rules_lift_only_their_own_devices_from_a_deny_list() {
        let privileged = rules(&["allow a *:* rwm", "deny c 226:* rwm", "deny c 1:3 rwm"]);
        let table = DeviceTable::of_container(&privileged).unwrap();
        assert_eq!(written(&table), ["allow a *:* rwm", "deny c 226:* rwm"]);
    }

    /// The OCI spec's reading of a list: the last rule about the device and the access decides.
    fn last_rule_allows(
        rules: &[DeviceRule],
        device: (NodeKind, u32, u32),
        access: Access,
    ) -> bool {
        rules
            .iter()
            .rev()
            .find(|rule| match DeviceRange::of(rule) {
                None => true,
                Some(range) => {
                    range.covers(device.0, device.1, device.2) && rule.access.contains(access)
                }
            })
            .is_some_and(|rule| rule.allow)
    }

    #[test]
    fn an_accepted_list_means_what_its_order_says() {
        let (mut accepted, mut refused) = (0, 0);
        for list in RandomRules::new(7).take(5000) {
            let Ok(table) = DeviceTable::from_rules(&list) else {
                refused += 1;
                continue;
            };
            accepted += 1;
            for (kind, major, minor) in requests(&list) {
                for access in [Access::READ, Access::WRITE, Access::MKNOD] {
                    assert_eq!(
                        table.allows(kind, major, minor, access),
                        last_rule_allows(&list, (kind, major, minor), access),
                        "{list:?}: {kind:?} {major}:{minor} {access}"
                    );
                }
            }
        }
        assert!(
            accepted > 1000 && refused > 200,
            "{accepted} accepted, {refused} refused"
        );
    }

    #[test]
    fn a_table_written_as_rules_is_the_same_table() {
        for list in RandomRules::new(11).take(2000) {
            if let Ok(table) = DeviceTable::from_rules(&list) {
                assert_eq!(DeviceTable::from_rules(&table.to_rules()), Ok(table));
            }
        }
    }
}
