//! Reading sysfs attributes: small files that hold one text, or one `name value` pair a line.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::str::FromStr;

use rustix::fs::{Mode, OFlags, openat};

/// Attributes are mostly a few bytes; the longest read here, a KFD node's `properties`, has about 900.
const USUAL_SIZE: usize = 4096;

/// The content of the attribute at `path`, up to the first NUL. Bytes that are not UTF-8 are replaced.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    content(File::open(path)?)
}

/// As [`read`], of the attribute at the path `below` a directory.
pub(crate) fn read_at(directory: impl AsFd, below: &str) -> io::Result<String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    content(openat(directory, below, flags, Mode::empty())?.into())
}

fn content(mut file: File) -> io::Result<String> {
    let mut page = [0; USUAL_SIZE];
    let length = file.read(&mut page)?;
    if length < page.len() {
        return Ok(text(&page[..length]));
    }
    // sysfs hands out an attribute whole in one read; only a longer one has more to say.
    let mut content = page.to_vec();
    file.read_to_end(&mut content)?;
    Ok(text(&content))
}

fn text(content: &[u8]) -> String {
    let content = CStr::from_bytes_until_nul(content).map_or(content, CStr::to_bytes);
    String::from_utf8_lossy(content).into_owned()
}

/// The text of the attribute `name` in `directory`, without blanks around it; `None` where it is
/// missing, empty or unreadable (`unique_id` gives EPERM during a GPU reset).
pub(crate) fn read_text(directory: &Path, name: &str) -> Option<String> {
    let text = read(&directory.join(name)).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// The number in the attribute `name`, decimal; `None` where there is no such number.
pub(crate) fn read_number<T: FromStr>(directory: &Path, name: &str) -> Option<T> {
    read_text(directory, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn text_of(content: &[u8]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("attribute"), content).unwrap();
        read_text(dir.path(), "attribute")
    }

    #[test]
    fn blanks_and_padding_are_no_content() {
        let mut padded = b"94".to_vec();
        padded.resize(4096, 0);
        for (content, expected) in [
            (&b"AMD Instinct MI300X\n"[..], Some("AMD Instinct MI300X")),
            (b"", None),
            (b"\n", None),
            (b"\n\0\0\0", None),
            (b"\0\0", None),
            (b"0x1002\n\0\0\0", Some("0x1002")),
            (b"\xff\n", Some("\u{fffd}")),
            (&padded, Some("94")),
        ] {
            assert_eq!(text_of(content).as_deref(), expected, "{content:?}");
        }
    }

    #[test]
    fn a_file_longer_than_a_page_is_read_whole() {
        let long = "x".repeat(3 * USUAL_SIZE);
        assert_eq!(text_of(long.as_bytes()), Some(long));
    }

    #[test]
    fn a_number_is_read_only_where_there_is_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("numa_node"), "-1\n").unwrap();
        assert_eq!(read_number::<i32>(dir.path(), "numa_node"), Some(-1));
        assert_eq!(read_number::<u32>(dir.path(), "numa_node"), None);
        assert_eq!(read_number::<u32>(dir.path(), "missing"), None);
    }
}
