//! Where a path of a host is that is seen below some directory.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// As the kernel's MAXSYMLINKS.
const MOST_LINKS: usize = 40;

/// Where `path` of the host below `root` leads, with symbolic links followed as that host
/// follows them: an absolute one starts at `root`, and none leads out of it. What is not there
/// yet is where it would be made, also by a link that dangles.
///
/// # Errors
/// `ELOOP` after 40 links, and where a link cannot be read.
pub fn resolve(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut below_root = PathBuf::new();
    let mut ahead = Vec::new();
    push_reversed(&mut ahead, path);
    let mut links = 0;
    while let Some(name) = ahead.pop() {
        if name == ".." {
            below_root.pop();
            continue;
        }
        below_root.push(&name);
        let target = match fs::read_link(root.join(&below_root)) {
            Ok(target) => target,
            // No link, or nothing at all.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput
                        | io::ErrorKind::NotFound
                        | io::ErrorKind::NotADirectory
                ) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        links += 1;
        if links > MOST_LINKS {
            return Err(io::Error::from(nix::errno::Errno::ELOOP));
        }
        below_root.pop();
        if target.is_absolute() {
            below_root.clear();
        }
        push_reversed(&mut ahead, &target);
    }
    Ok(root.join(below_root))
}

/// Puts the components of `path` on the stack `ahead`, the first on top.
fn push_reversed(ahead: &mut Vec<OsString>, path: &Path) {
    let components = path.components().rev();
    ahead.extend(components.filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    }));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_stay_below_the_root_and_may_dangle() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir_all(root.join("etc/real")).unwrap();
        fs::create_dir_all(root.join("srv")).unwrap();
        symlink("/etc/real", root.join("etc/absolute")).unwrap();
        symlink("../../../../srv", root.join("etc/climbing")).unwrap();
        symlink("/srv/new/file", root.join("etc/dangling")).unwrap();
        for (path, place) in [
            ("/etc/absolute/file", "etc/real/file"),
            ("/etc/climbing/x", "srv/x"),
            ("/etc/dangling", "srv/new/file"),
            ("/etc/none/file", "etc/none/file"),
        ] {
            assert_eq!(
                resolve(root, Path::new(path)).unwrap(),
                root.join(place),
                "{path}"
            );
        }
    }

    #[test]
    fn a_link_to_itself_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        let error = resolve(dir.path(), Path::new("/loop")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    }
}
