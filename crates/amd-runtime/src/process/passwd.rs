//! Names and home directories of users, as a /etc/passwd (passwd(5)) has them.
//!
//! libcontainer asks getpwuid(3), inside the container: the C library then loads what the
//! image's nsswitch.conf names, and runs it in the runtime, before any filter. Here the
//! file is read, and nothing else. It can be anything that an image can hold: what is no
//! plain file is not waited for, and only so much of it is read. Names of the host's users are
//! read in the same way: a program that is linked statically has no other.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How much of the file is looked at: more than ten thousand users.
const LIMIT: u64 = 1 << 20;

/// The home directory of user `uid`; `None` where the file does not name the user.
///
/// # Errors
/// Where the file cannot be read, or is no file.
pub fn home_of(passwd: &Path, uid: u32) -> io::Result<Option<Vec<u8>>> {
    Ok(find(&read(passwd)?, uid, Field::Home))
}

/// The name of user `uid`; `None` where the file does not name the user.
///
/// # Errors
/// As [`home_of`].
pub fn name_of(passwd: &Path, uid: u32) -> io::Result<Option<Vec<u8>>> {
    Ok(find(&read(passwd)?, uid, Field::Name))
}

fn read(passwd: &Path) -> io::Result<Vec<u8>> {
    let file = File::options()
        .read(true)
        // Opening a FIFO or a terminal does not wait, and gives no controlling terminal.
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(passwd)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Places in a line, `name:password:uid:gid:comment:home:shell`.
#[derive(Clone, Copy, Debug)]
enum Field {
    Name = 0,
    Home = 5,
}

/// A field of the first line with that uid.
fn find(passwd: &[u8], uid: u32, field: Field) -> Option<Vec<u8>> {
    passwd.split(|byte| *byte == b'\n').find_map(|line| {
        let mut fields = line.split(|byte| *byte == b':');
        let id = fields.clone().nth(2)?;
        let id: u32 = std::str::from_utf8(id).ok()?.parse().ok()?;
        (id == uid).then(|| fields.nth(field as usize).map(<[u8]>::to_vec))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_a_user_counts() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\n# a comment\n\nshort:x:7\n\
            user:x:1000:1000::/home/user:\ntwin:x:1000:1000::/home/twin:/bin/sh\n\
            empty:x:1001:1::: \nbad:x:ten:1::/bad:\nlast:x:8:8:l:/l";
        for (uid, home) in [
            (0, Some("/root")),
            (1000, Some("/home/user")),
            (1001, Some("")),
            (8, Some("/l")),
            (7, None),
            (10, None),
            (u32::MAX, None),
        ] {
            let found = find(passwd, uid, Field::Home);
            assert_eq!(found.as_deref(), home.map(str::as_bytes), "{uid}");
        }
        for (uid, name) in [(0, Some("root")), (1000, Some("user")), (10, None)] {
            let found = find(passwd, uid, Field::Name);
            assert_eq!(found.as_deref(), name.map(str::as_bytes), "{uid}");
        }
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("passwd");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        for path in [
            &fifo,
            dir.path(),
            Path::new("/dev/zero"),
            Path::new("/no/such"),
        ] {
            assert!(home_of(path, 0).is_err(), "{path:?}");
        }
    }

    #[test]
    fn a_file_without_end_is_read_so_far_and_no_farther() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 40).unwrap();
        assert_eq!(home_of(file.path(), 0).unwrap(), None);
    }
}
