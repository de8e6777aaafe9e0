use crate::{Gpu, Inventory};

/// The name of the device that is every GPU.
pub const ALL: &str = "all";

/// What GPUs are called in a spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NameStrategy {
    /// `0`: docker's `--gpus` asks for these.
    Index,
    /// `0xE3AA140F9A5F9E31`. Partitions of a board can share a UUID: there is one device of that
    /// name, which is all of them, as it is in [requests](crate::selection).
    Uuid,
    /// `0000:05:00.0`. Partitions of a board share it: the device is all of them.
    Pci,
}

impl NameStrategy {
    fn name(self, gpu: &Gpu) -> Option<String> {
        match self {
            Self::Index => Some(gpu.index.to_string()),
            Self::Uuid => gpu.uuid.map(|uuid| uuid.to_string()),
            Self::Pci => Some(gpu.pci.to_string()),
        }
    }
}

/// The GPUs that none of `strategies` has a name for: those without a UUID where UUIDs are the only
/// names. A spec offers them in [`ALL`] alone.
pub fn without_name<'a>(inventory: &'a Inventory, strategies: &[NameStrategy]) -> Vec<&'a Gpu> {
    let nameless = |gpu: &&Gpu| {
        strategies
            .iter()
            .all(|strategy| strategy.name(gpu).is_none())
    };
    inventory.gpus.iter().filter(nameless).collect()
}

/// The devices of a spec: each name, and the GPUs that it stands for, in order; [`ALL`] is the last.
/// Every name comes once, and no two strategies make the same one.
pub(super) fn devices<'a>(
    inventory: &'a Inventory,
    strategies: &[NameStrategy],
) -> Vec<(String, Vec<&'a Gpu>)> {
    let mut devices: Vec<(String, Vec<&Gpu>)> = Vec::new();
    for (position, strategy) in strategies.iter().enumerate() {
        if strategies[..position].contains(strategy) {
            continue;
        }
        let first = devices.len();
        for gpu in &inventory.gpus {
            let Some(name) = strategy.name(gpu) else {
                continue;
            };
            match devices[first..]
                .iter_mut()
                .find(|(known, _)| *known == name)
            {
                Some((_, gpus)) => gpus.push(gpu),
                None => devices.push((name, vec![gpu])),
            }
        }
    }
    devices.push((ALL.to_owned(), inventory.gpus.iter().collect()));
    devices
}

/// Whether a spec may name a device so: letters, digits, `_`, `-`, `.` and `:`, the first and the last
/// a letter or digit.
pub fn is_device_name(name: &str) -> bool {
    is_name(name, "_-.:") && name.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// Whether a vendor may be called so: letters, digits, `_`, `-` and `.`, the first a letter, the last
/// a letter or digit.
pub fn is_vendor_name(name: &str) -> bool {
    is_name(name, "_-.") && name.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// Whether a class may be called so: as a vendor.
pub fn is_class_name(name: &str) -> bool {
    is_vendor_name(name)
}

fn is_name(name: &str, marks: &str) -> bool {
    name.ends_with(|last: char| last.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || marks.contains(char))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification() {
        for (name, device, vendor) in [
            ("a", true, true),
            ("all", true, true),
            ("amd.com", true, true),
            ("a_b-c.d9", true, true),
            ("0", true, false),
            ("0000:05:00.0", true, false),
            ("0xE3AA140F9A5F9E31", true, false),
            ("a:b", true, false),
            ("", false, false),
            ("-a", false, false),
            ("a-", false, false),
            ("a b", false, false),
            ("a=b", false, false),
            ("a/b", false, false),
            ("\u{e9}", false, false),
        ] {
            assert_eq!(is_device_name(name), device, "{name:?}");
            assert_eq!(is_vendor_name(name), vendor, "{name:?}");
            assert_eq!(is_class_name(name), vendor, "{name:?}");
        }
    }
}
