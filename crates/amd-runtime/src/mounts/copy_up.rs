//! `tmpcopyup`: a tmpfs that starts with what the image has in its place.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{
    FileStat, Mode, SFlag, UtimensatFlags, fchmod, fstat, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchownat, symlinkat};

/// Copies what is in directory `from` into directory `to`: content, modes, owners and times
/// of change. Links are copied, never followed.
///
/// # Errors
/// Where something cannot be read or made.
pub fn copy_up(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let from = open_directory(from, c".")?;
    let to = open_directory(to, c".")?;
    copy_directory(&from, &to)
}

fn open_directory(dir: BorrowedFd<'_>, name: &std::ffi::CStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(dir, name, flags, Mode::empty())
}

fn copy_directory(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let mut listed = Dir::from_fd(from.try_clone()?)?;
    for entry in listed.iter() {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let look = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let found = openat(from, name, look, Mode::empty())?;
        let stat = fstat(&found)?;
        let kind = SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT;
        let mode = Mode::from_bits_truncate(stat.st_mode & 0o7777);
        match kind {
            SFlag::S_IFDIR => {
                mkdirat(to, name, Mode::S_IRWXU)?;
                let made = open_directory(to.as_fd(), name)?;
                copy_directory(&open_directory(from.as_fd(), name)?, &made)?;
                own(to, name, &stat)?;
                fchmod(&made, mode)?;
            }
            SFlag::S_IFLNK => {
                let target = readlinkat(&found, "")?;
                symlinkat(target.as_os_str(), to, name)?;
                own(to, name, &stat)?;
            }
            SFlag::S_IFREG => {
                let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
                let made = File::from(openat(to, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?);
                // By way of what was looked at: a FIFO in its place would block.
                let path = format!("/proc/self/fd/{}", found.as_raw_fd());
                io::copy(&mut File::open(path)?, &mut &made)?;
                own(to, name, &stat)?;
                fchmod(&made, mode)?;
            }
            kind => {
                mknodat(to, name, kind, mode, stat.st_rdev)?;
                own(to, name, &stat)?;
            }
        }
        let (accessed, changed) = times(&stat);
        let flags = UtimensatFlags::NoFollowSymlink;
        utimensat(to, name, &accessed, &changed, flags)?;
    }
    Ok(())
}

fn own(dir: &OwnedFd, name: &std::ffi::CStr, stat: &FileStat) -> nix::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    fchownat(
        dir,
        name,
        Some(uid),
        Some(gid),
        AtFlags::AT_SYMLINK_NOFOLLOW,
    )
}

fn times(stat: &FileStat) -> (TimeSpec, TimeSpec) {
    (
        TimeSpec::new(stat.st_atime, stat.st_atime_nsec),
        TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec),
    )
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_tree_is_copied_with_modes_and_links() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("a/b")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("a/file"), "text").unwrap();
        fs::set_permissions(from.join("a/file"), Permissions::from_mode(0o640)).unwrap();
        fs::set_permissions(from.join("a/b"), Permissions::from_mode(0o1777)).unwrap();
        symlink("/nowhere", from.join("link")).unwrap();
        nix::unistd::mkfifo(&from.join("fifo"), Mode::S_IRWXU).unwrap();

        let open = |path| File::open(path).unwrap();
        copy_up(open(&from).as_fd(), open(&to).as_fd()).unwrap();

        assert_eq!(fs::read_to_string(to.join("a/file")).unwrap(), "text");
        let mode = |name: &str| to.join(name).symlink_metadata().unwrap().mode() & 0o7777;
        assert_eq!((mode("a/file"), mode("a/b")), (0o640, 0o1777));
        assert_eq!(
            fs::read_link(to.join("link")).unwrap().to_str(),
            Some("/nowhere")
        );
        let mtime = |dir: &std::path::Path| dir.join("a/file").metadata().unwrap().mtime_nsec();
        assert_eq!(mtime(&to), mtime(&from));
    }
}
