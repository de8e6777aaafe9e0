//! A configuration file on disk.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use discovery::HostRoot;
use nix::unistd::{Gid, Uid, fchown};

use super::{ConfigError, EditError, attributes};

/// The mode of a file that we make.
const NEW_FILE_MODE: u32 = 0o644;

/// The mode of a file that is nobody else's to read.
const PRIVATE_MODE: u32 = 0o600;

/// A file as it was read, or the place where one can be made.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    /// The path that the user knows.
    path: PathBuf,
    /// The directory of that path.
    dir: PathBuf,
    /// Where symbolic links lead: what is read and replaced.
    target: PathBuf,
    /// None where there is no file.
    text: Option<String>,
    mode: u32,
    /// None for who runs this.
    owner: Option<(u32, u32)>,
    /// Whether the file has another mode or owner than it is to have.
    open_to_others: bool,
}

impl ConfigFile {
    /// Reads the file, through symbolic links. That there is none is no failure.
    ///
    /// # Errors
    /// Where it cannot be read, is no regular file, or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::io("read", path, source);
        let absolute = std::path::absolute(path).map_err(failed)?;
        let target = links(&absolute).map_err(failed)?;
        let dir = absolute.parent().unwrap_or(Path::new("/"));
        Self::at(path, dir, target)
    }

    /// As [`read`](Self::read), of the host below `root`, where links lead as they do there.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_below(root: &Path, path: &Path) -> Result<Self, ConfigError> {
        let host = HostRoot::new(root);
        let shown = host.join(path);
        if root == Path::new("/") {
            return Self::read(&shown);
        }
        let failed = |source| ConfigError::io("read", &shown, source);
        let dir = host.place(path.parent().unwrap_or(path)).map_err(failed)?;
        let target = host.place(path).map_err(failed)?;
        Self::at(&shown, &dir, target)
    }

    /// The file `name` in the directory of this one.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn beside(&self, name: &OsStr) -> Result<Self, ConfigError> {
        let path = self.path.with_file_name(name);
        Self::at(&path, &self.dir, self.dir.join(name))
    }

    fn at(path: &Path, dir: &Path, target: PathBuf) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::io("read", path, source);
        let mut file = Self {
            path: path.to_owned(),
            dir: dir.to_owned(),
            target,
            text: None,
            mode: NEW_FILE_MODE,
            owner: None,
            open_to_others: false,
        };
        match fs::metadata(&file.target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
            Ok(meta) if !meta.is_file() => {
                return Err(ConfigError::content(
                    path,
                    EditError::new("not a regular file"),
                ));
            }
            Ok(meta) => {
                let bytes = fs::read(&file.target).map_err(failed)?;
                file.text = Some(utf8(bytes).map_err(|error| ConfigError::content(path, error))?);
                file.mode = meta.mode() & 0o7777;
                file.owner = Some((meta.uid(), meta.gid()));
            }
        }
        Ok(file)
    }

    /// The path, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of the path, which may be yet to be made.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the file holds; None where there is no file.
    pub fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// The same place, of a file for the owner of `other` alone, whatever it was before.
    pub fn private_like(mut self, other: &Self) -> Self {
        let found = (self.mode, self.owner);
        self.mode = PRIVATE_MODE;
        self.owner = other.owner.or(self.owner);
        self.open_to_others = self.text.is_some() && found != (self.mode, self.owner);
        self
    }

    /// Whether the file has the text `text`, and the mode and owner that it is to have.
    pub fn is(&self, text: Option<&str>) -> bool {
        self.text() == text && (text.is_none() || !self.open_to_others)
    }

    /// The file as it is after it was made to hold `text`.
    pub fn holding(&self, text: Option<&str>) -> Self {
        Self {
            text: text.map(str::to_owned),
            ..self.clone()
        }
    }

    /// Replaces the file, or removes it where `text` is None.
    ///
    /// The new file has the old one's mode, owner and extended attributes, ACLs among them; one
    /// that did not exist has mode 0644 and its directory is made. At every moment, through a
    /// crash or a full disk, the path holds the old text or the new.
    ///
    /// # Errors
    /// Where the system refuses, or the file is not what was read any more. The old file
    /// is untouched then.
    pub fn replace(&self, text: Option<&str>) -> Result<(), ConfigError> {
        let dir = self.target.parent().unwrap_or(Path::new("/"));
        match text {
            Some(text) => self.write(dir, text)?,
            None => {
                self.check_unchanged()?;
                match fs::remove_file(&self.target) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        return Err(ConfigError::io("remove", &self.path, error));
                    }
                    _ => {}
                }
            }
        }
        File::open(dir)
            .and_then(|dir| dir.sync_all())
            .map_err(|error| ConfigError::io("sync", dir, error))
    }

    fn write(&self, dir: &Path, text: &str) -> Result<(), ConfigError> {
        let failed = |error| ConfigError::io("write", &self.path, error);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(dir)
            .map_err(|error| ConfigError::io("make", dir, error))?;
        let mut temporary = tempfile::Builder::new()
            .prefix(".amd-ctk-")
            .tempfile_in(staging(dir))
            .map_err(failed)?;
        temporary.write_all(text.as_bytes()).map_err(failed)?;
        let file = temporary.as_file();
        if let Some((uid, gid)) = self.owner {
            fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                .map_err(|error| failed(error.into()))?;
        }
        if self.text.is_some() {
            attributes::copy(&self.target, file).map_err(failed)?;
        }
        // After the owner: chown(2) clears set-id bits. After an ACL, of which it is the mask.
        file.set_permissions(Permissions::from_mode(self.mode))
            .map_err(failed)?;
        file.sync_all().map_err(failed)?;
        self.check_unchanged()?;
        temporary
            .persist(&self.target)
            .map_err(|error| failed(error.error))?;
        Ok(())
    }

    fn check_unchanged(&self) -> Result<(), ConfigError> {
        let now = match fs::read(&self.target) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(ConfigError::io("read", &self.path, error)),
        };
        if now.as_deref() == self.text().map(str::as_bytes) {
            Ok(())
        } else {
            Err(ConfigError::Changed(self.path.clone()))
        }
    }
}

/// Where a file for `dir` is written before it is put there: on the same file system, and not
/// in a directory of drop-ins. CRI-O reads every file of its own, whatever the name, and so
/// would read what a killed command leaves behind.
fn staging(dir: &Path) -> &Path {
    let device = |dir: &Path| fs::metadata(dir).map(|meta| meta.dev()).ok();
    let drop_ins = dir.extension().is_some_and(|extension| extension == "d");
    match dir.parent() {
        Some(parent) if drop_ins && device(parent) == device(dir) => parent,
        _ => dir,
    }
}

/// Where `path` leads through symbolic links, the last of which may dangle. Those on the way
/// are the kernel's to follow: such as /proc/1/root lead where no path does.
fn links(path: &Path) -> io::Result<PathBuf> {
    /// As the kernel's MAXSYMLINKS.
    const MOST_LINKS: usize = 40;
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(target) => {
                path = path.parent().unwrap_or(Path::new("/")).join(target);
            }
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

fn utf8(bytes: Vec<u8>) -> Result<String, EditError> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
        EditError::at(&text, valid, "not UTF-8")
    })
}
