//! Paths in a root filesystem that nobody trusts: they are walked here, step by step.
//!
//! A step is an openat(2) of one name in a directory that is open already, and it never
//! follows a link: links are read and walked like the path itself, from the root of the
//! container where they are absolute, and `..` goes back to the directory that was walked
//! through. So nothing leads out of the root filesystem, whoever exchanges its directories
//! for links meanwhile. openat2(2) with `RESOLVE_IN_ROOT` does as much for what exists; a
//! mount point that is missing, or a link that dangles, has to be made on the way.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, fstat, mkdirat};

use crate::path_fd;

/// As many links as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// The root filesystem of a container, while it is made.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
    path: PathBuf,
}

/// What to do about a last component that is missing. Directories above it are made
/// wherever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Missing {
    Fail,
    Directory,
    File,
}

impl Root {
    /// The root filesystem at `path`, with what is mounted there now.
    ///
    /// # Errors
    /// Where it is no directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            dir: path_fd::find(path, OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW)?,
            path: path.to_owned(),
        })
    }

    /// Its top directory.
    pub fn dir(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }

    /// What is at a path of the container. Links are followed, within the container.
    ///
    /// # Errors
    /// `ENOENT` where there is nothing.
    pub fn find(&self, path: &Path) -> io::Result<OwnedFd> {
        self.walk(path, Missing::Fail, true)
    }

    /// The directory at a path of the container, made where it is missing, with mode 0755.
    /// What is there already is returned as it is, be it no directory.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn directory(&self, path: &Path) -> io::Result<OwnedFd> {
        self.walk(path, Missing::Directory, true)
    }

    /// As [`Root::directory`], for a path whose last component must not be a link.
    ///
    /// # Errors
    /// `ENOTDIR` where something else is there.
    pub fn directory_itself(&self, path: &Path) -> io::Result<OwnedFd> {
        let found = self.walk(path, Missing::Directory, false)?;
        if is_directory(found.as_fd())? {
            Ok(found)
        } else {
            Err(Errno::ENOTDIR.into())
        }
    }

    /// What is at a path of the container; an empty file is made where nothing is.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn file(&self, path: &Path) -> io::Result<OwnedFd> {
        self.walk(path, Missing::File, true)
    }

    /// As [`Root::file`], for a path whose last component must not be a link.
    ///
    /// # Errors
    /// `ELOOP` where a link is there.
    pub fn file_itself(&self, path: &Path) -> io::Result<OwnedFd> {
        let found = self.walk(path, Missing::File, false)?;
        match kind_of(found.as_fd())? {
            libc::S_IFLNK => Err(Errno::ELOOP.into()),
            _ => Ok(found),
        }
    }

    /// The path in the container of what was opened in it.
    ///
    /// # Errors
    /// Where it is outside of the root filesystem, which only one who moves directories
    /// meanwhile can bring about.
    pub fn path_of(&self, opened: BorrowedFd<'_>) -> io::Result<PathBuf> {
        let real = std::fs::read_link(format!("/proc/self/fd/{}", opened.as_raw_fd()))?;
        let below = real.strip_prefix(&self.path).map_err(|_| {
            io::Error::other(format!(
                "it is at {}, outside of the container",
                real.display()
            ))
        })?;
        Ok(Path::new("/").join(below))
    }

    fn walk(&self, path: &Path, missing: Missing, follow_last: bool) -> io::Result<OwnedFd> {
        let path = path.strip_prefix(&self.path).unwrap_or(path);
        let mut above = vec![self.dir.try_clone()?];
        let mut rest = names(path);
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                // At the root, `..` is the root.
                if above.len() > 1 {
                    above.pop();
                }
                continue;
            }
            let last = rest.is_empty();
            let Some(here) = above.last() else { break };
            let found = match step(here, &name) {
                Err(Errno::ENOENT) if missing != Missing::Fail => {
                    let file = last && missing == Missing::File;
                    make(here, &name, file)?;
                    step(here, &name)?
                }
                found => found?,
            };
            let is_link = kind_of(found.as_fd())? == libc::S_IFLNK;
            if !is_link || (last && !follow_last) {
                above.push(found);
                continue;
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(Errno::ELOOP.into());
            }
            let target = PathBuf::from(readlinkat(&found, "")?);
            if target.is_absolute() {
                above.truncate(1);
            }
            let mut walked = names(&target);
            walked.append(&mut rest);
            rest = walked;
        }
        above.pop().ok_or_else(|| Errno::ENOENT.into())
    }
}

/// Whether it is a directory.
///
/// # Errors
/// Where it cannot be examined.
pub fn is_directory(opened: BorrowedFd<'_>) -> io::Result<bool> {
    Ok(kind_of(opened)? == libc::S_IFDIR)
}

fn kind_of(opened: BorrowedFd<'_>) -> io::Result<u32> {
    Ok(fstat(opened)?.st_mode & libc::S_IFMT)
}

fn names(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

fn step(here: &OwnedFd, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(here, name, flags, Mode::empty())
}

/// Makes a directory or an empty file; that another has just made it is no error.
fn make(here: &OwnedFd, name: &OsStr, file: bool) -> nix::Result<()> {
    let made = if file {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        openat(here, name, flags, Mode::from_bits_truncate(0o644)).map(drop)
    } else {
        mkdirat(here, name, Mode::from_bits_truncate(0o755))
    };
    match made {
        Err(Errno::EEXIST) => Ok(()),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    /// A root filesystem beside a directory of the host that must stay empty.
    fn root() -> (TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let base = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(base.join("rootfs/etc")).unwrap();
        fs::create_dir(base.join("host")).unwrap();
        let root = Root::open(&base.join("rootfs")).unwrap();
        (dir, root)
    }

    fn untouched(dir: &TempDir) {
        assert_eq!(fs::read_dir(dir.path().join("host")).unwrap().count(), 0);
    }

    #[test]
    fn what_is_missing_is_made_with_the_directories_above_it() {
        let (dir, root) = root();
        let made = root.directory(Path::new("/a/b")).unwrap();
        assert_eq!(root.path_of(made.as_fd()).unwrap(), Path::new("/a/b"));
        root.file(Path::new("c/d")).unwrap();
        assert!(dir.path().join("rootfs/a/b").is_dir());
        assert!(dir.path().join("rootfs/c/d").is_file());
        let missing = root.find(Path::new("/x")).unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(libc::ENOENT));
    }

    #[test]
    fn a_path_of_the_host_below_the_root_is_one_of_the_container() {
        let (dir, root) = root();
        let host = fs::canonicalize(dir.path()).unwrap().join("rootfs/etc/x");
        let made = root.directory(&host).unwrap();
        assert_eq!(root.path_of(made.as_fd()).unwrap(), Path::new("/etc/x"));
    }

    #[test]
    fn no_link_leads_out() {
        let (dir, root) = root();
        let host = dir.path().join("host");
        let inside = dir.path().join("rootfs");
        symlink(&host, inside.join("absolute")).unwrap();
        symlink("../../../../../../../../host", inside.join("up")).unwrap();
        symlink("../host", inside.join("near")).unwrap();
        for name in ["absolute", "up", "near"] {
            let made = root.directory(&Path::new(name).join("made")).unwrap();
            let path = root.path_of(made.as_fd()).unwrap();
            assert!(path.ends_with("host/made"), "{name}: {path:?}");
        }
        root.directory(Path::new("/../../host/made")).unwrap();
        untouched(&dir);
    }

    #[test]
    fn links_that_dangle_are_followed_to_what_is_made_there() {
        let (dir, root) = root();
        let inside = dir.path().join("rootfs");
        symlink("/tmp/foo/bar", inside.join("jump")).unwrap();
        symlink("/jump/baz/hosts", inside.join("etc/hosts")).unwrap();
        root.file(Path::new("/etc/hosts")).unwrap();
        assert!(inside.join("tmp/foo/bar/baz/hosts").is_file());
    }

    #[test]
    fn links_in_a_circle_end() {
        let (dir, root) = root();
        symlink("/loop", dir.path().join("rootfs/loop")).unwrap();
        let error = root.directory(Path::new("/loop/x")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
    }

    #[test]
    fn a_directory_itself_is_no_link() {
        let (dir, root) = root();
        symlink("/etc", dir.path().join("rootfs/proc")).unwrap();
        let error = root.directory_itself(Path::new("/proc")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTDIR));
        root.directory_itself(Path::new("/sys")).unwrap();
    }

    #[test]
    fn a_file_itself_is_no_link() {
        let (dir, root) = root();
        symlink("/etc/x", dir.path().join("rootfs/console")).unwrap();
        let error = root.file_itself(Path::new("/console")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ELOOP));
        root.file_itself(Path::new("/dev/console")).unwrap();
        assert!(dir.path().join("rootfs/dev/console").is_file());
        assert!(!dir.path().join("rootfs/etc/x").exists());
    }

    #[test]
    fn nothing_is_walked_through_but_directories() {
        let (dir, root) = root();
        fs::write(dir.path().join("rootfs/file"), "").unwrap();
        let error = root.directory(Path::new("/file/x")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTDIR));
    }
}
