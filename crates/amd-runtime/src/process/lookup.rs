//! The file that a program's name means.

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::AtFlags;
use nix::unistd::{AccessFlags, faccessat};

use super::ProcessError;
use super::error::errno_text;

/// The file that `name` means where `search` is PATH, or why there is none, in the words
/// of Go's `exec.LookPath`: docker and the kubelet match on them, and docker makes its
/// exit codes 126 and 127 of them.
///
/// # Errors
/// Where there is no such file, or it is none that this process may execute.
pub fn resolve(name: &str, search: &str) -> Result<PathBuf, ProcessError> {
    let refused = |why: &str| Err(ProcessError::Program(format!("exec: {name:?}: {why}")));
    if name.contains('/') {
        return match executable(Path::new(name)) {
            Ok(()) => Ok(PathBuf::from(name)),
            Err(Errno::ENOENT) => refused(&format!("stat {name}: no such file or directory")),
            Err(errno) => refused(&errno_text(errno)),
        };
    }
    let found = search
        .split(':')
        .map(|dir| {
            if dir.is_empty() {
                Path::new(".")
            } else {
                Path::new(dir)
            }
            .join(name)
        })
        .find(|file| !name.is_empty() && executable(file).is_ok());
    match found {
        Some(file) => Ok(file),
        None => refused("executable file not found in $PATH"),
    }
}

fn executable(file: &Path) -> nix::Result<()> {
    let metadata = file
        .metadata()
        .map_err(|err| err.raw_os_error().map_or(Errno::EIO, Errno::from_raw))?;
    if metadata.is_dir() {
        return Err(Errno::EISDIR);
    }
    faccessat(
        nix::fcntl::AT_FDCWD,
        file,
        AccessFlags::X_OK,
        AtFlags::AT_EACCESS,
    )
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(dir: &Path, name: &str, mode: u32) -> String {
        let path = dir.join(name);
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn programs_are_found_as_go_finds_them() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().to_str().unwrap();
        let tool = file(tmp.path(), "tool", 0o700);
        assert_eq!(resolve(&tool, "").unwrap(), PathBuf::from(&tool));
        let found = resolve("tool", &format!("/nowhere:{dir}")).unwrap();
        assert_eq!(found, PathBuf::from(&tool));
    }

    #[test]
    fn what_cannot_be_run_is_told_in_gos_words() {
        let tmp = tempfile::tempdir().unwrap();
        let dir = tmp.path().to_str().unwrap();
        let plain = file(tmp.path(), "plain", 0o644);
        let not_found = "executable file not found in $PATH";
        for (name, why) in [
            ("tool", not_found),
            ("", not_found),
            ("plain", not_found),
            (&plain, "permission denied"),
            (dir, "is a directory"),
            ("/no/x", "stat /no/x: no such file or directory"),
        ] {
            let message = resolve(name, dir).unwrap_err().to_string();
            assert_eq!(message, format!("exec: {name:?}: {why}"));
        }
    }
}
