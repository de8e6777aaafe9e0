//! What is wrong with a configuration file, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::Uid;

/// A place in a text; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl Position {
    /// Where byte `offset` of `text` is. An offset past the end is the end.
    pub fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Self {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why a text cannot be edited. The text's file is named by [`ConfigError`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditError {
    /// Where in the text, if it is one place.
    pub at: Option<Position>,
    /// What is wrong.
    pub message: String,
    /// The way out.
    pub hint: Option<String>,
}

impl EditError {
    /// A fault at byte `offset` of `text`.
    pub fn at(text: &str, offset: usize, message: impl Into<String>) -> Self {
        Self {
            at: Some(Position::of(text, offset)),
            message: message.into(),
            hint: None,
        }
    }

    /// A fault of the text as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            at: None,
            message: message.into(),
            hint: None,
        }
    }

    /// The same with a way out.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "{at}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// Why a configuration file stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// What it holds cannot be edited.
    #[error("{}: {error}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        error: EditError,
    },
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else wrote it between our reading and writing.
    #[error("{} was changed by another program at the same time", .0.display())]
    Changed(PathBuf),
    /// Somebody else holds the lock of a directory.
    #[error("another program keeps {} locked", .0.display())]
    Locked(PathBuf),
}

impl ConfigError {
    pub(crate) fn content(path: &Path, error: EditError) -> Self {
        Self::Content {
            path: path.to_owned(),
            error,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// The way out, where there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Content { error, .. } => error.hint.clone(),
            Self::Io { path, source, .. } => io_hint(path, source, Uid::effective().is_root()),
            Self::Changed(_) => Some("run the command again".to_owned()),
            Self::Locked(dir) => Some(format!(
                "`fuser -v {}` or `lslocks` shows which: end it, and run the command again",
                dir.display()
            )),
        }
    }
}

/// The way out where the system refused to change what is at `path`.
fn io_hint(path: &Path, error: &io::Error, is_root: bool) -> Option<String> {
    let dir = path.parent().unwrap_or(path).display();
    let path = path.display();
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied if !is_root => "run it as root".to_owned(),
        io::ErrorKind::PermissionDenied if error.raw_os_error() == Some(Errno::EPERM as i32) => {
            format!(
                "`lsattr -d {dir} {path}` shows an i or a for what is not to be changed, and \
                 `chattr -ia` lifts it"
            )
        }
        io::ErrorKind::PermissionDenied => {
            "root may not either: a security module or a network file system can say why \
             (`dmesg`, `journalctl -k`)"
                .to_owned()
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            format!("`findmnt -T {dir}` shows what is mounted read-only there")
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("make room: `df {dir}` and `df -i {dir}` show what there is")
        }
        io::ErrorKind::ResourceBusy => {
            "the file is a mount of its own, which cannot be replaced: mount its directory"
                .to_owned()
        }
        _ => return None,
    };
    Some(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_1() {
        for (offset, line, column) in [(0, 1, 1), (2, 1, 3), (3, 2, 1), (5, 2, 2), (99, 2, 3)] {
            assert_eq!(
                Position::of("ab\nüx", offset),
                Position { line, column },
                "{offset}"
            );
        }
    }

    #[test]
    fn a_refusal_has_the_way_out_that_there_is() {
        for (errno, is_root, way_out) in [
            (Errno::EACCES, false, "run it as root"),
            (Errno::EPERM, false, "run it as root"),
            (Errno::EPERM, true, "`lsattr -d /etc/x /etc/x/file`"),
            (Errno::EACCES, true, "security module"),
            (Errno::EROFS, true, "`findmnt -T /etc/x`"),
            (Errno::ENOSPC, true, "`df -i /etc/x`"),
            (Errno::EDQUOT, false, "make room"),
            (Errno::EBUSY, true, "mount its directory"),
        ] {
            let hint = io_hint(Path::new("/etc/x/file"), &errno.into(), is_root).unwrap();
            assert!(hint.contains(way_out), "{errno}: {hint}");
        }
    }
}
