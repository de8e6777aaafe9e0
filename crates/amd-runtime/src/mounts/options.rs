//! The options of a mount: the words of the OCI spec (config.md, "Linux mount options"),
//! sorted as runc sorts them (`specconv/spec_linux.go`).

use serde::{Deserialize, Serialize};

/// Options of mount(2): name, whether it clears the flag, the flag.
const FLAGS: &[(&str, bool, u64)] = &[
    ("async", true, libc::MS_SYNCHRONOUS),
    ("atime", true, libc::MS_NOATIME),
    ("bind", false, libc::MS_BIND),
    ("defaults", false, 0),
    ("dev", true, libc::MS_NODEV),
    ("diratime", true, libc::MS_NODIRATIME),
    ("dirsync", false, libc::MS_DIRSYNC),
    ("exec", true, libc::MS_NOEXEC),
    ("iversion", false, libc::MS_I_VERSION),
    ("lazytime", false, libc::MS_LAZYTIME),
    ("loud", true, libc::MS_SILENT),
    ("mand", false, libc::MS_MANDLOCK),
    ("noatime", false, libc::MS_NOATIME),
    ("nodev", false, libc::MS_NODEV),
    ("nodiratime", false, libc::MS_NODIRATIME),
    ("noexec", false, libc::MS_NOEXEC),
    ("noiversion", true, libc::MS_I_VERSION),
    ("nolazytime", true, libc::MS_LAZYTIME),
    ("nomand", true, libc::MS_MANDLOCK),
    ("norelatime", true, libc::MS_RELATIME),
    ("nostrictatime", true, libc::MS_STRICTATIME),
    ("nosuid", false, libc::MS_NOSUID),
    ("nosymfollow", false, libc::MS_NOSYMFOLLOW),
    ("rbind", false, libc::MS_BIND | libc::MS_REC),
    ("relatime", false, libc::MS_RELATIME),
    ("remount", false, libc::MS_REMOUNT),
    ("ro", false, libc::MS_RDONLY),
    ("rw", true, libc::MS_RDONLY),
    ("silent", false, libc::MS_SILENT),
    ("strictatime", false, libc::MS_STRICTATIME),
    ("suid", true, libc::MS_NOSUID),
    ("sync", false, libc::MS_SYNCHRONOUS),
    ("symfollow", true, libc::MS_NOSYMFOLLOW),
];

/// Propagation types (mount_namespaces(7)).
const PROPAGATION: &[(&str, u64)] = &[
    ("private", libc::MS_PRIVATE),
    ("rprivate", libc::MS_PRIVATE | libc::MS_REC),
    ("rshared", libc::MS_SHARED | libc::MS_REC),
    ("rslave", libc::MS_SLAVE | libc::MS_REC),
    ("runbindable", libc::MS_UNBINDABLE | libc::MS_REC),
    ("shared", libc::MS_SHARED),
    ("slave", libc::MS_SLAVE),
    ("unbindable", libc::MS_UNBINDABLE),
];

/// Attributes of mount_setattr(2) for a mount and all below it: name, whether it clears
/// the attribute, the attribute.
const RECURSIVE: &[(&str, bool, u64)] = &[
    ("ratime", true, libc::MOUNT_ATTR_NOATIME),
    ("rdev", true, libc::MOUNT_ATTR_NODEV),
    ("rdiratime", true, libc::MOUNT_ATTR_NODIRATIME),
    ("rexec", true, libc::MOUNT_ATTR_NOEXEC),
    ("rnoatime", false, libc::MOUNT_ATTR_NOATIME),
    ("rnodev", false, libc::MOUNT_ATTR_NODEV),
    ("rnodiratime", false, libc::MOUNT_ATTR_NODIRATIME),
    ("rnoexec", false, libc::MOUNT_ATTR_NOEXEC),
    ("rnorelatime", true, libc::MOUNT_ATTR_RELATIME),
    ("rnostrictatime", true, libc::MOUNT_ATTR_STRICTATIME),
    ("rnosuid", false, libc::MOUNT_ATTR_NOSUID),
    ("rnosymfollow", false, libc::MOUNT_ATTR_NOSYMFOLLOW),
    ("rrelatime", false, libc::MOUNT_ATTR_RELATIME),
    ("rro", false, libc::MOUNT_ATTR_RDONLY),
    ("rrw", true, libc::MOUNT_ATTR_RDONLY),
    ("rstrictatime", false, libc::MOUNT_ATTR_STRICTATIME),
    ("rsuid", true, libc::MOUNT_ATTR_NOSUID),
    ("rsymfollow", true, libc::MOUNT_ATTR_NOSYMFOLLOW),
];

/// The options of a mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountOptions {
    /// `MS_*` flags that were asked for.
    pub set: u64,
    /// `MS_*` flags that are not to be set, in so many words (`dev`, `rw`).
    pub cleared: u64,
    /// Changes of the propagation type, in this order: `MS_SHARED` and the like, with
    /// `MS_REC` or not.
    pub propagation: Vec<u64>,
    /// `MOUNT_ATTR_*` set and cleared for the mount and all below it, where there are any.
    pub recursive: Option<(u64, u64)>,
    /// Whether a tmpfs starts with what the image has there.
    pub copy_up: bool,
    /// Whether ids are mapped, and then whether also below the mount.
    pub id_map: Option<bool>,
    /// Options of the file system: all other words.
    pub data: Vec<String>,
}

impl MountOptions {
    /// Sorts the words of a spec.
    pub fn parse<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut options = Self::default();
        let mut recursive = (0, 0);
        for word in words {
            if let Some((_, clears, flag)) = find(FLAGS, word) {
                change(clears, flag, &mut options.set, &mut options.cleared);
            } else if let Some(&(_, flag)) = PROPAGATION.iter().find(|(name, _)| *name == word) {
                options.propagation.push(flag);
            } else if let Some((_, clears, flag)) = find(RECURSIVE, word) {
                change(clears, flag, &mut recursive.0, &mut recursive.1);
                if flag & libc::MOUNT_ATTR__ATIME == flag {
                    // Access times are one value of several, not a bit each: mount_setattr(2).
                    recursive.1 |= libc::MOUNT_ATTR__ATIME;
                }
            } else {
                match word {
                    "tmpcopyup" => options.copy_up = true,
                    "idmap" => options.id_map = Some(false),
                    "ridmap" => options.id_map = Some(true),
                    data => options.data.push(data.to_owned()),
                }
            }
        }
        options.recursive = (recursive != (0, 0)).then_some(recursive);
        options
    }

    /// Whether the flag is set.
    pub fn has(&self, flag: u64) -> bool {
        self.set & flag == flag
    }
}

/// The words that [`MountOptions::parse`] knows, sorted: `features` lists them.
pub fn known() -> Vec<&'static str> {
    let flags = FLAGS.iter().chain(RECURSIVE).map(|&(name, ..)| name);
    let propagation = PROPAGATION.iter().map(|&(name, _)| name);
    let mut names: Vec<_> = flags
        .chain(propagation)
        .chain(["idmap", "ridmap", "tmpcopyup"])
        .collect();
    names.sort_unstable();
    names
}

/// The flag of a propagation type, as `linux.rootfsPropagation` names it.
pub fn propagation(name: &str) -> Option<u64> {
    let found = PROPAGATION.iter().find(|(known, _)| *known == name);
    found.map(|&(_, flag)| flag)
}

fn find(table: &'static [(&str, bool, u64)], word: &str) -> Option<(&'static str, bool, u64)> {
    table.iter().find(|(name, ..)| *name == word).copied()
}

/// Of two words about one flag the last one counts.
fn change(clears: bool, flag: u64, set: &mut u64, cleared: &mut u64) {
    let (to, from) = if clears {
        (cleared, set)
    } else {
        (set, cleared)
    };
    *to |= flag;
    *from &= !flag;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> MountOptions {
        MountOptions::parse(words.split_whitespace())
    }

    #[test]
    fn words_become_flags_and_the_rest_is_for_the_file_system() {
        let options = parse("rbind nosuid ro mode=755 rprivate size=64k");
        let flags = libc::MS_BIND | libc::MS_REC | libc::MS_NOSUID | libc::MS_RDONLY;
        assert_eq!(options.set, flags);
        assert_eq!(options.propagation, [libc::MS_PRIVATE | libc::MS_REC]);
        assert_eq!(options.data, ["mode=755", "size=64k"]);
        assert_eq!(options.recursive, None);
        assert_eq!(parse("defaults"), MountOptions::default());
    }

    #[test]
    fn of_two_words_about_one_flag_the_last_one_counts() {
        let read_write = parse("ro rw");
        assert_eq!((read_write.set, read_write.cleared), (0, libc::MS_RDONLY));
        let read_only = parse("rw ro");
        assert_eq!((read_only.set, read_only.cleared), (libc::MS_RDONLY, 0));
    }

    #[test]
    fn recursive_access_times_replace_the_value_that_is_there() {
        let atime = libc::MOUNT_ATTR__ATIME;
        for (words, set, clear) in [
            ("rro", libc::MOUNT_ATTR_RDONLY, 0),
            ("rrw", 0, libc::MOUNT_ATTR_RDONLY),
            ("rro rrw", 0, libc::MOUNT_ATTR_RDONLY),
            ("rnoatime", libc::MOUNT_ATTR_NOATIME, atime),
            ("rstrictatime", libc::MOUNT_ATTR_STRICTATIME, atime),
            ("rrelatime", 0, atime),
            ("rnodiratime", libc::MOUNT_ATTR_NODIRATIME, 0),
        ] {
            assert_eq!(parse(words).recursive, Some((set, clear)), "{words}");
        }
    }

    #[test]
    fn extensions_are_no_options_of_the_file_system() {
        assert_eq!(parse("idmap").id_map, Some(false));
        assert_eq!(parse("ridmap").id_map, Some(true));
        let copied = parse("tmpcopyup mode=700");
        assert!(copied.copy_up);
        assert_eq!(copied.data, ["mode=700"]);
    }

    #[test]
    fn every_known_word_is_taken() {
        for word in known() {
            assert!(parse(word).data.is_empty(), "{word}");
        }
        assert!(known().is_sorted());
        assert_eq!(propagation("rslave"), Some(libc::MS_SLAVE | libc::MS_REC));
        assert_eq!(propagation("open"), None);
    }
}
