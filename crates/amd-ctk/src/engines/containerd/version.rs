//! What depends on the version of a configuration, and of containerd.

use std::path::Path;
use std::process::Command;

use toml_edit::Item;

use crate::config_file::EditError;
use crate::config_file::toml::{Document, has_block};

/// What a file is made with that has no version: every containerd since 1.3 reads it.
pub const NEW_CONFIG_VERSION: i64 = 2;

/// The first version of the configuration that came with a containerd that merges drop-ins,
/// in some of its releases.
pub const MERGED_FROM: i64 = 3;

/// The first version of the configuration that every containerd that knows it merges.
const SURELY_MERGED_FROM: i64 = 4;

/// The first containerd that merges a plugin's section of a drop-in with the one before,
/// rather than replacing it.
const MERGES: (u32, u32) = (2, 1);

/// Whether our settings may go to a drop-in, if config.toml imports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropIn {
    /// The user named the file to edit.
    Never,
    /// It is read by a containerd of this version.
    Version((u32, u32)),
    /// By which containerd it is read is not known.
    Unknown,
}

impl DropIn {
    /// For the containerd of the host below `root`. The one in PATH is no other host's.
    pub fn for_host(root: &Path) -> Self {
        let installed = (root == Path::new("/")).then(installed).flatten();
        installed.map_or(Self::Unknown, Self::Version)
    }

    /// Whether containerd merges a drop-in with this config.toml. `own` is what our drop-in
    /// holds: where it was right before, it is.
    pub fn is_merged(self, config: &str, own: Option<&str>) -> bool {
        match self {
            Self::Never => false,
            Self::Version(version) => version >= MERGES,
            // config.toml is right for every containerd.
            Self::Unknown => {
                version(Some(config)).is_ok_and(|version| version >= SURELY_MERGED_FROM)
                    || own.is_some_and(|own| has_block(own, ""))
            }
        }
    }
}

/// The name of the CRI plugin that has the runtimes.
pub fn plugin(version: i64) -> &'static str {
    match version {
        1 => "cri",
        2 => "io.containerd.grpc.v1.cri",
        _ => "io.containerd.cri.v1.runtime",
    }
}

/// The configuration's version: 1 where it says none, and that of a new file where there is
/// nothing in it.
///
/// # Errors
/// Where it is one whose tables we do not know.
pub fn version(text: Option<&str>) -> Result<i64, EditError> {
    let Some(text) = text else {
        return Ok(NEW_CONFIG_VERSION);
    };
    let document = Document::parse(text)?;
    let item = document.get(&["version"])?;
    match (item, item.and_then(Item::as_integer)) {
        (_, Some(version @ 1..=4)) => Ok(version),
        // Nothing in it that a version could give a meaning.
        (None, _) if document.table(&[])?.is_none_or(|root| root.is_empty()) => {
            Ok(NEW_CONFIG_VERSION)
        }
        (None, _) => Ok(1),
        (Some(item), _) => {
            let found = item.to_string();
            let message = format!("version {}; known are 1 to 4", found.trim());
            let hint = "a later amd-ctk may know it; --config-path edits another file";
            Err(document.error_at(item, message).with_hint(hint))
        }
    }
}

/// The version of the containerd in PATH, None where there is none that says so.
fn installed() -> Option<(u32, u32)> {
    let output = Command::new("containerd").arg("--version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stdout))
}

/// `containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7...`
fn parse_version(line: &str) -> Option<(u32, u32)> {
    let version = line.split_whitespace().nth(2)?;
    let mut numbers = version.trim_start_matches('v').split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_containerd_prints() {
        for (line, version) in [
            (
                "containerd github.com/containerd/containerd/v2 v2.1.4 75cb2b7",
                Some((2, 1)),
            ),
            (
                "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1",
                Some((1, 6)),
            ),
            ("", None),
        ] {
            assert_eq!(parse_version(line), version);
        }
    }

    #[test]
    fn where_containerd_is_not_known_a_drop_in_is_for_files_that_are_merged_by_all() {
        let ours = Some("# >>> amd-ctk: runtime amd");
        for (drop_in, config, own, merged) in [
            (DropIn::Version((2, 0)), "version = 3\n", None, false),
            (DropIn::Version((2, 1)), "version = 3\n", None, true),
            (DropIn::Unknown, "version = 3\n", None, false),
            (DropIn::Unknown, "version = 4\n", None, true),
            (DropIn::Unknown, "version = 3\n", ours, true),
            (DropIn::Never, "version = 4\n", ours, false),
        ] {
            assert_eq!(
                drop_in.is_merged(config, own),
                merged,
                "{drop_in:?} {config}"
            );
        }
    }

    #[test]
    fn the_containerd_in_path_is_not_another_hosts() {
        assert_eq!(DropIn::for_host(Path::new("/host")), DropIn::Unknown);
    }
}
