use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// As many symbolic links as the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The directory under which the `/sys` and `/dev` of a host are found.
///
/// It is `/` for a program on the host. A privileged pod that has the host mounted somewhere names
/// that place. Paths that this crate reports, such as [`Gpu::render`](crate::Gpu::render), are paths
/// on the host, without the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRoot {
    root: PathBuf,
}

impl HostRoot {
    /// The host that this process runs on.
    pub fn system() -> Self {
        Self::new("/")
    }

    /// A host whose root directory is `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The root directory itself.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Where `on_host`, a path on the host such as `/dev/kfd`, is found by this process. Symbolic
    /// links on the way are left alone.
    pub fn join(&self, on_host: impl AsRef<Path>) -> PathBuf {
        let on_host = on_host.as_ref();
        self.root.join(on_host.strip_prefix("/").unwrap_or(on_host))
    }

    /// As [`join`](Self::join), with symbolic links on the way resolved as the host resolves them:
    /// an absolute one starts at this root, and none leads out of it.
    ///
    /// On the system's own root the kernel does all that when the path is used, so the path comes
    /// back as it is, unchecked.
    ///
    /// # Errors
    /// As `readlink(2)` on a component that is not there, and `ELOOP` after 40 links.
    pub fn resolve(&self, on_host: impl AsRef<Path>) -> io::Result<PathBuf> {
        self.follow(on_host.as_ref(), Missing::IsAnError)
    }

    /// Where a file of the host is, or where this process can make it: as [`resolve`](Self::resolve), but
    /// what symbolic links lead to need not be there.
    ///
    /// # Errors
    /// `ELOOP` after 40 links; `ENOENT` for a path that comes back with `..` from a directory which is
    /// not there; and where a link cannot be read.
    pub fn place(&self, on_host: impl AsRef<Path>) -> io::Result<PathBuf> {
        self.follow(on_host.as_ref(), Missing::CanBeMade)
    }

    fn follow(&self, on_host: &Path, missing: Missing) -> io::Result<PathBuf> {
        if self.root == Path::new("/") {
            return Ok(self.join(on_host));
        }
        let mut below_root = PathBuf::new();
        let mut ahead = Vec::new();
        push_reversed(&mut ahead, on_host);
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            if name == ".." {
                below_root.pop();
                continue;
            }
            below_root.push(&name);
            match self.root.join(&below_root).read_link() {
                Ok(target) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(io::Error::from_raw_os_error(libc::ELOOP));
                    }
                    below_root.pop();
                    if target.is_absolute() {
                        below_root.clear();
                    }
                    push_reversed(&mut ahead, &target);
                }
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {} // no link
                Err(error)
                    if missing == Missing::CanBeMade
                        && is_not_there(&error)
                        && !ahead.iter().any(|name| name == "..") => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.root.join(below_root))
    }
}

/// What a component means that is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    IsAnError,
    CanBeMade,
}

fn is_not_there(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Puts the components of `path` on the stack `ahead`, the first on top.
fn push_reversed(ahead: &mut Vec<OsString>, path: &Path) {
    ahead.extend(
        path.components()
            .rev()
            .filter_map(|component| match component {
                Component::Normal(name) => Some(name.to_owned()),
                Component::ParentDir => Some("..".into()),
                Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
            }),
    );
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn join_puts_a_host_path_below_the_root() {
        assert_eq!(HostRoot::system().join("/dev/kfd"), Path::new("/dev/kfd"));
        assert_eq!(
            HostRoot::new("/host").join("/dev/kfd"),
            Path::new("/host/dev/kfd")
        );
    }

    #[test]
    fn links_resolve_below_the_root() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("sys/devices/board/drm")).unwrap();
        fs::create_dir_all(dir.path().join("sys/bus")).unwrap();
        symlink("../devices/board", dir.path().join("sys/bus/relative")).unwrap();
        symlink("/sys/devices/board", dir.path().join("sys/bus/absolute")).unwrap();
        symlink(
            "../../../../../../sys/devices/board",
            dir.path().join("sys/bus/climbing"),
        )
        .unwrap();
        let host = HostRoot::new(dir.path());
        for link in ["relative", "absolute", "climbing"] {
            assert_eq!(
                host.resolve(format!("/sys/bus/{link}/drm")).unwrap(),
                dir.path().join("sys/devices/board/drm"),
                "{link}"
            );
        }
    }

    #[test]
    fn a_link_to_itself_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        let error = HostRoot::new(dir.path()).resolve("/loop").unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    }

    /// A host with these directories and links.
    fn host(dirs: &[&str], links: &[(&str, &str)]) -> (tempfile::TempDir, HostRoot) {
        let tmp = tempfile::tempdir().unwrap();
        for dir in dirs {
            fs::create_dir_all(tmp.path().join(dir)).unwrap();
        }
        for (link, target) in links {
            symlink(target, tmp.path().join(link)).unwrap();
        }
        let host = HostRoot::new(tmp.path());
        (tmp, host)
    }

    #[test]
    fn a_file_is_placed_where_links_lead_to_that_may_dangle() {
        let (etc, cdi) = (&["etc"][..], &["etc/cdi"][..]);
        let run = &["etc", "run/cdi"][..];
        for (dirs, links, place) in [
            (&[][..], &[][..], "etc/cdi/a"),
            (cdi, &[], "etc/cdi/a"),
            (run, &[("etc/cdi", "/run/cdi")], "run/cdi/a"),
            (run, &[("etc/cdi", "../run/cdi")], "run/cdi/a"),
            (run, &[("etc/cdi", "../../../../run/cdi")], "run/cdi/a"),
            (etc, &[("etc/cdi", "/run/x")], "run/x/a"),
            (etc, &[("etc/cdi", "x")], "etc/x/a"),
            (cdi, &[("etc/cdi/a", "/srv/b")], "srv/b"),
            (
                etc,
                &[("etc/cdi", "/run/x"), ("run", "var/run")],
                "var/run/x/a",
            ),
        ] {
            let (tmp, host) = host(dirs, links);
            let placed = host.place("/etc/cdi/a").unwrap();
            assert_eq!(placed, tmp.path().join(place), "{dirs:?} {links:?}");
        }
    }

    #[test]
    fn no_place_is_outside_of_the_host() {
        let (_tmp, host) = host(
            &["etc"],
            &[("etc/loop", "loop"), ("etc/out", "gone/../../../../out")],
        );
        for (path, errno) in [("/etc/loop/a", libc::ELOOP), ("/etc/out/a", libc::ENOENT)] {
            let error = host.place(path).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(errno), "{path}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        let error = HostRoot::new(dir.path()).resolve("/dev/kfd").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
