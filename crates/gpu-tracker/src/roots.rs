//! The state roots in which containers with GPUs can be.
//!
//! Every engine names a root of its own to the runtime (`--root`). The runtime leaves a link to
//! it where it creates a container with GPUs; those that engines are known to name are looked
//! at in any case, so that a lost /run hides no container of theirs.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use crate::Files;

/// Roots that are known; `*` is any one name.
const KNOWN: [&str; 4] = [
    // The runtime's own, and that of podman.
    "/run/amd-container-runtime",
    "/run/docker/runtime-*/*",
    "/run/containerd/runc/*",
    "/run/runc",
];

/// Leaves a link to `root`, an absolute path of the host. One that is there already costs a
/// single system call.
pub(crate) fn register(files: &Files, root: &Path) -> io::Result<()> {
    let dir = files.roots();
    let link = dir.join(name(root));
    let made = symlink(root, &link);
    let made = match made {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o755).create(&dir)?;
            symlink(root, &link)
        }
        made => made,
    };
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// All roots, as the host names them, each once; those that are gone may be among them.
pub(crate) fn list(files: &Files) -> BTreeSet<PathBuf> {
    let mut roots: BTreeSet<PathBuf> = fs::read_dir(files.roots())
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .filter(|root| root.is_absolute())
        .collect();
    for pattern in KNOWN {
        expand(files, PathBuf::from("/"), &pattern[1..], &mut roots);
    }
    roots
}

/// The directories that match `pattern` below `base`.
fn expand(files: &Files, base: PathBuf, pattern: &str, found: &mut BTreeSet<PathBuf>) {
    let (first, rest) = pattern
        .split_once('/')
        .map_or((pattern, None), |(first, rest)| (first, Some(rest)));
    let mut next = |dir: PathBuf| match rest {
        Some(rest) => expand(files, dir, rest, found),
        None => {
            found.insert(dir);
        }
    };
    let Some(prefix) = first.strip_suffix('*') else {
        return next(base.join(first));
    };
    let entries = fs::read_dir(files.on_host(&base));
    for entry in entries.into_iter().flatten().flatten() {
        let matches = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with(prefix));
        if matches {
            next(base.join(entry.file_name()));
        }
    }
}

/// A name for the link to `root`: FNV-1a of its bytes, since a path can be longer than a name.
fn name(root: &Path) -> String {
    let hash = root
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registered_and_known_roots_are_listed_once() {
        let tmp = tempfile::tempdir().unwrap();
        let files = Files::new(discovery::HostRoot::new(tmp.path()));
        for dir in ["docker/runtime-amd/moby", "docker/other/moby", "docker/x"] {
            fs::create_dir_all(tmp.path().join("run").join(dir)).unwrap();
        }
        let moby = Path::new("/run/docker/runtime-amd/moby");
        for root in [moby, moby, Path::new("/srv/state"), Path::new("/srv/state")] {
            register(&files, root).unwrap();
        }
        let expected = [
            "/run/amd-container-runtime",
            "/run/docker/runtime-amd/moby",
            "/run/runc",
            "/srv/state",
        ];
        assert_eq!(list(&files), expected.map(PathBuf::from).into());
    }
}
