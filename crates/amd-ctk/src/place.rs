//! Where a file of a host is to be made.

use std::io;
use std::path::{Component, Path, PathBuf};

use discovery::HostRoot;
use nix::errno::Errno;

/// As many symbolic links as the kernel follows in one path (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Where `on_host`, a path on the host, is found or can be made by this process. Symbolic links
/// are followed as the host follows them, as by [`HostRoot::resolve`]; here what they lead to
/// need not be there.
///
/// # Errors
/// `ELOOP` after 40 links that dangle; `ENOENT` for a path that comes back with `..` from a
/// directory which is not there.
pub(crate) fn place(host: &HostRoot, on_host: &Path) -> io::Result<PathBuf> {
    let mut on_host = on_host.to_owned();
    for _ in 0..MOST_LINKS {
        match follow(host, &on_host) {
            Followed::To(place) => return Ok(place),
            Followed::Link(target) => on_host = target,
            Followed::Nowhere => return Err(Errno::ENOENT.into()),
        }
    }
    Err(Errno::ELOOP.into())
}

enum Followed {
    To(PathBuf),
    /// The path on the host that takes the place of one with a dangling link.
    Link(PathBuf),
    Nowhere,
}

fn follow(host: &HostRoot, on_host: &Path) -> Followed {
    let longest = on_host
        .ancestors()
        .find_map(|part| Some((host.resolve(part).ok()?, on_host.strip_prefix(part).ok()?)));
    let Some((there, rest)) = longest else {
        return Followed::Nowhere;
    };
    let mut names = rest.components();
    let Some(next) = names.next() else {
        return Followed::To(there);
    };
    // Not there, or a link that dangles.
    if let Ok(target) = there.join(next).read_link() {
        let dir = there.strip_prefix(host.path()).unwrap_or(Path::new(""));
        let target = Path::new("/").join(dir).join(target);
        return Followed::Link(target.join(names.as_path()));
    }
    if names.any(|name| name == Component::ParentDir) {
        return Followed::Nowhere;
    }
    Followed::To(there.join(rest))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A host with these links and directories, and where it places a path.
    #[track_caller]
    fn assert_placed(dirs: &[&str], links: &[(&str, &str)], path: &str, expected: &str) {
        let tmp = tempfile::tempdir().unwrap();
        for dir in dirs {
            fs::create_dir_all(tmp.path().join(dir)).unwrap();
        }
        for (link, target) in links {
            symlink(target, tmp.path().join(link)).unwrap();
        }
        let placed = place(&HostRoot::new(tmp.path()), Path::new(path)).unwrap();
        assert_eq!(placed, tmp.path().join(expected), "{path}");
    }

    #[test]
    fn what_is_not_there_is_made_below_what_is() {
        assert_placed(&[], &[], "/etc/cdi/a", "etc/cdi/a");
        assert_placed(&["etc/cdi"], &[], "/etc/cdi/a", "etc/cdi/a");
    }

    #[test]
    fn links_lead_to_places_of_the_host() {
        let dirs = ["etc", "run/cdi"];
        for target in ["/run/cdi", "../run/cdi", "../../../../run/cdi"] {
            assert_placed(&dirs, &[("etc/cdi", target)], "/etc/cdi/a", "run/cdi/a");
        }
    }

    #[test]
    fn so_do_links_that_dangle() {
        let path = "/etc/cdi/a";
        assert_placed(&["etc"], &[("etc/cdi", "/run/x")], path, "run/x/a");
        assert_placed(&["etc"], &[("etc/cdi", "x")], path, "etc/x/a");
        let file = [("etc/cdi/a", "/srv/b")];
        assert_placed(&["etc/cdi"], &file, path, "srv/b");
        let chain = [("etc/cdi", "/run/x"), ("run", "var/run")];
        assert_placed(&["etc"], &chain, path, "var/run/x/a");
    }

    #[test]
    fn none_leads_out_of_the_host() {
        let tmp = tempfile::tempdir().unwrap();
        let host = HostRoot::new(tmp.path());
        fs::create_dir(tmp.path().join("etc")).unwrap();
        for (link, target, errno) in [
            ("loop", "loop", Errno::ELOOP),
            ("out", "gone/../../../../out", Errno::ENOENT),
        ] {
            symlink(target, tmp.path().join("etc").join(link)).unwrap();
            let error = place(&host, &Path::new("/etc").join(link).join("a")).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(errno as i32), "{link}");
        }
    }

    #[test]
    fn on_the_systems_own_root_the_kernel_follows_links() {
        let placed = place(&HostRoot::system(), Path::new("/etc/cdi/a")).unwrap();
        assert_eq!(placed, Path::new("/etc/cdi/a"));
    }
}
