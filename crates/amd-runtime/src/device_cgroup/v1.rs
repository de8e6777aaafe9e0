//! The v1 devices controller: the files `devices.allow`, `devices.deny` and `devices.list` of a
//! cgroup (Linux, Documentation/admin-guide/cgroup-v1/devices.rst).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::access::Access;
use super::rule::{DeviceKind, DeviceRule, NodeKind};
use super::table::{DeviceRange, DeviceTable};

/// The text that puts `rule` in place when written to `devices.allow` or `devices.deny`:
/// `c 226:128 rwm`.
pub fn entry(rule: &DeviceRule) -> String {
    match DeviceRange::of(rule) {
        None => "a *:* rwm".to_string(),
        Some(range) => format!("{range} {}", rule.access),
    }
}

/// Writes `rules` in their order to the cgroup at `dir`.
///
/// # Errors
/// The first file that cannot be written. The kernel refuses (EPERM) what the parent cgroup does
/// not allow, and (EINVAL) rules of type `a` where the cgroup has children.
pub fn write(dir: &Path, rules: &[DeviceRule]) -> Result<(), WriteError> {
    let (mut allow, mut deny) = (None, None);
    for rule in rules {
        // Says nothing, but the kernel would list it.
        if rule.access.is_empty() && rule.kind != DeviceKind::All {
            continue;
        }
        let (file, name) = if rule.allow {
            (&mut allow, "devices.allow")
        } else {
            (&mut deny, "devices.deny")
        };
        let entry = entry(rule);
        // The kernel takes one rule a write.
        write_entry(file, &dir.join(name), &entry).map_err(|source| WriteError {
            path: dir.join(name),
            entry,
            source,
        })?;
    }
    Ok(())
}

/// Writes to `file`, which is opened at `path` where it is not open yet, without creating it:
/// what is missing is to be reported as that.
fn write_entry(file: &mut Option<File>, path: &Path, entry: &str) -> io::Result<()> {
    let mut file = match file {
        Some(file) => &*file,
        None => file.insert(OpenOptions::new().write(true).open(path)?),
    };
    file.write_all(entry.as_bytes())
}

/// The rules that turn a cgroup with these `differences` from the list of `table` into one with
/// `table`.
///
/// Access is taken and given entry by entry, so that what was and stays allowed is not denied for a
/// moment. The exceptions of a deny list are always written, because the kernel does not show them;
/// writing one again changes nothing.
pub fn corrections(table: &DeviceTable, differences: &[Difference]) -> Vec<DeviceRule> {
    if differences.contains(&Difference::EverythingAllowed)
        || differences.contains(&Difference::NotEverythingAllowed)
    {
        return table.to_rules();
    }
    if table.default_allow() {
        return table.to_rules().split_off(1);
    }
    differences
        .iter()
        .filter_map(Difference::correction)
        .collect()
}

/// A rule that the kernel did not take.
#[derive(Debug, thiserror::Error)]
#[error("cannot write device rule `{entry}` to {}", path.display())]
pub struct WriteError {
    /// `devices.allow` or `devices.deny` of the cgroup.
    pub path: PathBuf,
    /// What was written.
    pub entry: String,
    /// The kernel's answer.
    pub source: io::Error,
}

impl WriteError {
    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self.source.raw_os_error() {
            Some(libc::EPERM) => Some(
                "the cgroup above must allow the same devices (its devices.list), and writing \
                 needs CAP_SYS_ADMIN"
                    .to_string(),
            ),
            Some(libc::EINVAL) if self.entry.starts_with('a') => {
                Some("remove the cgroups below first".to_string())
            }
            _ => None,
        }
    }
}

/// The content of a `devices.list`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeviceList {
    /// The cgroup allows everything except what the kernel does not show (`a *:* rwm`).
    all: bool,
    entries: BTreeMap<DeviceRange, Access>,
}

impl DeviceList {
    /// Parses the text of `devices.list`. Lines without access, which grant nothing, are left out.
    ///
    /// # Errors
    /// The first line that is not of the kernel's form `TYPE MAJOR:MINOR ACCESS`.
    pub fn parse(text: &str) -> Result<Self, ListError> {
        let mut list = Self::default();
        for line in text.lines() {
            let error = || ListError {
                line: line.to_string(),
            };
            let (range, access) = parse_line(line).ok_or_else(error)?;
            match range {
                None => list.all = true,
                Some(_) if access.is_empty() => {}
                Some(range) => *list.entries.entry(range).or_default() |= access,
            }
        }
        Ok(list)
    }

    /// The list that the kernel shows for a cgroup with `table`.
    pub fn of(table: &DeviceTable) -> Self {
        if table.default_allow() {
            return Self {
                all: true,
                entries: BTreeMap::new(),
            };
        }
        Self {
            all: false,
            entries: table.exceptions().collect(),
        }
    }

    /// Every way in which `actual` differs from this list. Empty when they are the same.
    pub fn differences(&self, actual: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        if actual.all && !self.all {
            differences.push(Difference::EverythingAllowed);
        }
        if self.all && !actual.all {
            differences.push(Difference::NotEverythingAllowed);
        }
        let ranges: BTreeSet<_> = self.entries.keys().chain(actual.entries.keys()).collect();
        for &range in ranges {
            let expected = self.entries.get(&range).copied().unwrap_or_default();
            let found = actual.entries.get(&range).copied().unwrap_or_default();
            let (missing, extra) = (expected & !found, found & !expected);
            if !missing.is_empty() {
                differences.push(Difference::Missing {
                    range,
                    access: missing,
                });
            }
            if !extra.is_empty() {
                differences.push(Difference::Extra {
                    range,
                    access: extra,
                });
            }
        }
        differences
    }
}

/// The devices (`None`: all) and the access of a line of `devices.list`.
fn parse_line(line: &str) -> Option<(Option<DeviceRange>, Access)> {
    let mut fields = line.split(' ');
    let kind = fields.next()?;
    let (major, minor) = fields.next()?.split_once(':')?;
    let access = Access::parse(fields.next()?)?;
    if fields.next().is_some() {
        return None;
    }
    let number = |text: &str| match text {
        "*" => Some(None),
        _ => text.parse().ok().map(Some),
    };
    let (major, minor) = (number(major)?, number(minor)?);
    let range = match kind {
        "a" => None,
        "c" => Some(DeviceRange {
            kind: NodeKind::Char,
            major,
            minor,
        }),
        "b" => Some(DeviceRange {
            kind: NodeKind::Block,
            major,
            minor,
        }),
        _ => return None,
    };
    Some((range, access))
}

/// A line of `devices.list` that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown entry `{line}` in devices.list")]
pub struct ListError {
    /// The line.
    pub line: String,
}

/// One way in which a `devices.list` is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// Every device is allowed where a list was expected.
    EverythingAllowed,
    /// A list is in place where every device should be allowed.
    NotEverythingAllowed,
    /// Access that should be allowed is not.
    Missing {
        /// The devices.
        range: DeviceRange,
        /// The access.
        access: Access,
    },
    /// Access is allowed that should not be.
    Extra {
        /// The devices.
        range: DeviceRange,
        /// The access.
        access: Access,
    },
}

impl Difference {
    /// The rule that undoes the difference of one entry.
    fn correction(&self) -> Option<DeviceRule> {
        let (allow, range, access) = match *self {
            Self::EverythingAllowed | Self::NotEverythingAllowed => return None,
            Self::Missing { range, access } => (true, range, access),
            Self::Extra { range, access } => (false, range, access),
        };
        Some(DeviceRule::new(
            allow,
            range.kind.into(),
            range.major,
            range.minor,
            access,
        ))
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EverythingAllowed => f.write_str("every device is allowed"),
            Self::NotEverythingAllowed => f.write_str("not every device is allowed"),
            Self::Missing { range, access } => write!(f, "`{range} {access}` is missing"),
            Self::Extra { range, access } => write!(f, "`{range} {access}` is too much"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A rule from its display form, `allow c 226:* rwm`.
    pub(crate) fn rule(text: &str) -> DeviceRule {
        let (verdict, entry) = text.split_once(' ').unwrap();
        let allow = verdict == "allow";
        match parse_line(entry).unwrap() {
            (None, access) => DeviceRule::new(allow, DeviceKind::All, None, None, access),
            (Some(range), access) => {
                DeviceRule::new(allow, range.kind.into(), range.major, range.minor, access)
            }
        }
    }

    fn list(rules: &[&str]) -> DeviceList {
        let rules: Vec<_> = rules.iter().map(|text| rule(text)).collect();
        DeviceList::of(&DeviceTable::from_rules(&rules).unwrap())
    }

    fn differences(expected: &DeviceList, text: &str) -> Vec<String> {
        let actual = DeviceList::parse(text).unwrap();
        expected
            .differences(&actual)
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn the_order_and_the_split_of_entries_do_not_matter() {
        let expected = list(&["allow c 1:3 rwm", "allow c 226:128 rw", "allow b *:* m"]);
        let text = "c 226:128 r\nb *:* m\nc 1:3 rwm\nc 226:128 w\n";
        assert_eq!(differences(&expected, text), Vec::<String>::new());
    }

    #[test]
    fn every_difference_is_named() {
        let expected = list(&["allow c 1:3 rwm", "allow c 226:128 rw", "allow c 5:* r"]);
        let text = "c 1:3 rwm\nc 226:128 rm\nc 226:129 rwm\nb 5:* r\n";
        assert_eq!(
            differences(&expected, text),
            [
                "`c 5:* r` is missing",
                "`c 226:128 w` is missing",
                "`c 226:128 m` is too much",
                "`c 226:129 rwm` is too much",
                "`b 5:* r` is too much",
            ]
        );
    }

    #[test]
    fn an_open_cgroup_is_told_from_a_list() {
        assert_eq!(
            differences(&list(&[]), "a *:* rwm\n"),
            ["every device is allowed"]
        );
        assert_eq!(differences(&list(&[]), ""), Vec::<String>::new());
        let open = list(&["allow a *:* rwm"]);
        assert_eq!(differences(&open, "a *:* rwm\n"), Vec::<String>::new());
        assert_eq!(
            differences(&open, "c 1:3 r\n"),
            ["not every device is allowed", "`c 1:3 r` is too much"]
        );
    }

    #[test]
    fn corrections_touch_only_what_differs() {
        let corrected = |rules: &[&str], text: &str| -> Vec<String> {
            let rules: Vec<_> = rules.iter().map(|text| rule(text)).collect();
            let table = DeviceTable::from_rules(&rules).unwrap();
            let actual = DeviceList::parse(text).unwrap();
            let differences = DeviceList::of(&table).differences(&actual);
            corrections(&table, &differences)
                .iter()
                .map(ToString::to_string)
                .collect()
        };
        let gpu = ["allow c 1:3 rwm", "allow c 226:128 rw"];
        assert!(corrected(&gpu, "c 1:3 rwm\nc 226:128 rw\n").is_empty());
        assert_eq!(
            corrected(&gpu, "c 1:3 rwm\nc 226:128 rm\nc 226:* r\n"),
            ["deny c 226:* r", "allow c 226:128 w", "deny c 226:128 m"]
        );
        assert_eq!(
            corrected(&gpu, "a *:* rwm\n"),
            ["deny a *:* rwm", "allow c 1:3 rwm", "allow c 226:128 rw"]
        );
        // The kernel does not show the exceptions of a deny list.
        let deny_list = ["allow a *:* rwm", "deny c 226:* rwm"];
        assert_eq!(corrected(&deny_list, "a *:* rwm\n"), ["deny c 226:* rwm"]);
        assert_eq!(
            corrected(&deny_list, ""),
            ["allow a *:* rwm", "deny c 226:* rwm"]
        );
    }

    #[test]
    fn entries_without_access_grant_nothing() {
        assert_eq!(differences(&list(&[]), "c 1:3 \n"), Vec::<String>::new());
    }

    #[test]
    fn a_line_of_another_form_is_an_error() {
        for line in [
            "",
            "c 1:3",
            "x 1:3 rwm",
            "c 1 rwm",
            "c 1:x rwm",
            "c 1:3 rwx",
            "c 1:3 r w",
        ] {
            let error = DeviceList::parse(&format!("c 1:5 rwm\n{line}\n")).unwrap_err();
            assert_eq!(error.line, line);
        }
    }

    #[test]
    fn rules_are_written_as_the_kernel_reads_them() {
        for (text, expected) in [
            ("allow c 226:128 rw", "c 226:128 rw"),
            ("deny b *:* m", "b *:* m"),
            ("deny c 5:* r", "c 5:* r"),
            ("deny a *:* rwm", "a *:* rwm"),
        ] {
            assert_eq!(entry(&rule(text)), expected);
        }
    }
}
