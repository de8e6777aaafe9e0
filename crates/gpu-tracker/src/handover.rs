//! The handover of a reservation, from the `create` that took it to the container's init: a link
//! beside the reservation, whose text names the init.
//!
//! A link is there whole or not at all, as a file that is written and renamed, and takes a tenth of
//! the time; the reservation of 64 GPUs is not written twice, and `start` need not read it.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use host_state::ProcessRef;

/// The name of the link, in the state directory of the container.
const INIT_LINK: &str = "gpus.init";

/// Hands the reservation at `path` over to `init`.
///
/// # Errors
/// Where there can be no link.
pub fn hand_over(path: &Path, init: ProcessRef) -> io::Result<()> {
    let link = link_of(path);
    let text = format!("{}:{}", init.pid, init.start_time);
    match symlink(&text, &link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            take_back(path)?;
            symlink(&text, &link)
        }
        linked => linked,
    }
}

/// The reservation at `path` is handed over to nobody, as before [`hand_over`].
///
/// # Errors
/// Where the link cannot be removed.
pub fn take_back(path: &Path) -> io::Result<()> {
    match fs::remove_file(link_of(path)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Whom the reservation at `path` was handed over to; `None` where it was not, or by being written
/// anew.
///
/// # Errors
/// Where there is something else in the place of the link.
pub fn handed_over_to(path: &Path) -> io::Result<Option<ProcessRef>> {
    let text = match link_of(path).read_link() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text?,
    };
    let init = text.to_str().and_then(|text| {
        let (pid, start_time) = text.split_once(':')?;
        Some(ProcessRef {
            pid: pid.parse().ok()?,
            start_time: start_time.parse().ok()?,
        })
    });
    let unknown = || io::Error::other(format!("{INIT_LINK} beside it is {text:?} and no process"));
    init.map(Some).ok_or_else(unknown)
}

fn link_of(reservation: &Path) -> PathBuf {
    reservation.with_file_name(INIT_LINK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_that_it_was_handed_over_to_has_it() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("gpus.json");
        assert_eq!(handed_over_to(&path).unwrap(), None);
        for pid in [7, i32::MAX] {
            let init = ProcessRef {
                pid,
                start_time: u64::MAX,
            };
            hand_over(&path, init).unwrap();
            assert_eq!(handed_over_to(&path).unwrap(), Some(init));
        }
        for _ in 0..2 {
            take_back(&path).unwrap();
            assert_eq!(handed_over_to(&path).unwrap(), None);
        }
    }

    #[test]
    fn what_names_no_process_is_an_error() {
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("gpus.json");
        let link = tmp.path().join(INIT_LINK);
        for text in ["7", "7:", ":7", "x:7", "7:7:7", "/etc/passwd"] {
            symlink(text, &link).unwrap();
            let error = handed_over_to(&path).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
            fs::remove_file(&link).unwrap();
        }
        fs::write(&link, "7:7").unwrap();
        assert!(handed_over_to(&path).is_err());
    }

    #[test]
    fn where_there_can_be_no_link_is_an_error() {
        let tmp = tempfile::tempdir().unwrap();
        let init = ProcessRef::own().unwrap();
        assert!(hand_over(&tmp.path().join("gone/gpus.json"), init).is_err());
    }
}
