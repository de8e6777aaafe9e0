//! The file of a spec: written and removed, unless it has what somebody else put there.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use crate::cdi::check_ours;
use crate::config_file::{ConfigError, ConfigFile};
use crate::error::CommandError;

/// Engines read specs as whoever runs them, which can be a user without root.
const MODE: u32 = 0o644;

/// How often to look again at a file that others write.
const MOST_TRIES: u32 = 10;

const NOT_TEXT: &str = "name another file with --output, or remove this one if nobody needs it";

/// Where a spec is to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpecFile<'a> {
    pub path: &'a Path,
    /// Whether what somebody else put there may be lost.
    pub force: bool,
    /// How many GPUs are hidden from this process.
    pub hidden: usize,
}

impl SpecFile<'_> {
    /// Writes the file, and tells whether it was another.
    pub fn write(self, text: &str) -> Result<bool, CommandError> {
        let changed = self.persist(Some(text))?;
        let mode = fs::metadata(self.path).map(|meta| meta.permissions().mode() & 0o7777);
        if mode.is_ok_and(|mode| mode != MODE) {
            set_mode(self.path, MODE)?;
        }
        Ok(changed)
    }

    /// Removes the file, and tells whether there was one.
    pub fn remove(self) -> Result<bool, CommandError> {
        self.persist(None)
    }

    /// A hotplug event and a boot service can both come here at once: who finds that the file
    /// changed looks again.
    fn persist(self, text: Option<&str>) -> Result<bool, CommandError> {
        let mut tries = 0;
        loop {
            match self.replace(text) {
                Err(ReplaceError::Config(ConfigError::Changed(_))) if tries < MOST_TRIES => {
                    tries += 1;
                }
                Err(ReplaceError::Config(ConfigError::Content { path, error })) => {
                    let error = error.with_hint(NOT_TEXT);
                    return Err(ConfigError::Content { path, error }.into());
                }
                Err(ReplaceError::Config(error)) => return Err(error.into()),
                Err(ReplaceError::Command(error)) => return Err(error),
                Ok(changed) => return Ok(changed),
            }
        }
    }

    /// A process in a container can have a file of the host's before it.
    fn check_whole(self) -> Result<(), CommandError> {
        if self.hidden == 0 {
            return Ok(());
        }
        Err(CommandError::new(
            anyhow!(
                "{}: may have GPUs that KFD hides from this process, and stays as it is",
                self.path.display()
            ),
            Some(
                "run it on the host, or with --force where this one is the container's own".into(),
            ),
        ))
    }

    /// Writes the file, or removes it where `text` is None, and tells whether that changed it.
    fn replace(self, text: Option<&str>) -> Result<bool, ReplaceError> {
        check_regular(self.path).map_err(ReplaceError::Command)?;
        let file = ConfigFile::read(self.path).map_err(ReplaceError::Config)?;
        if file.text() == text {
            return Ok(false);
        }
        if let Some(old) = file.text()
            && !self.force
        {
            check_ours(self.path, old).map_err(ReplaceError::Command)?;
            self.check_whole().map_err(ReplaceError::Command)?;
        }
        let made = missing_dirs(self.path);
        file.replace(text).map_err(ReplaceError::Config)?;
        // Whatever the umask is.
        for dir in made {
            set_mode(&dir, 0o755).map_err(ReplaceError::Command)?;
        }
        Ok(true)
    }
}

enum ReplaceError {
    Command(CommandError),
    Config(ConfigError),
}

/// Refuses what cannot be replaced: another kind of file, or standard output by its path. Where
/// that is a pipe, its link names no file; where it is a file, that would be taken from under
/// the shell.
fn check_regular(path: &Path) -> Result<(), CommandError> {
    const OPEN_FILES: [&str; 3] = ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
    let is_open = OPEN_FILES.iter().any(|it| path == Path::new(it));
    if !is_open && fs::metadata(path).map_or(true, |meta| meta.is_file()) {
        return Ok(());
    }
    Err(CommandError::new(
        anyhow!("{}: not a regular file", path.display()),
        Some("name another file with --output, or `-` for standard output".to_owned()),
    ))
}

fn missing_dirs(output: &Path) -> Vec<PathBuf> {
    output
        .ancestors()
        .skip(1)
        .take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists())
        .map(Path::to_owned)
        .collect()
}

fn set_mode(path: &Path, mode: u32) -> Result<(), CommandError> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .with_context(|| format!("cannot set the mode of {}", path.display()))
        .map_err(|cause| CommandError::new(cause, None))
}
