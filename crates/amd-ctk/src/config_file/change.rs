//! A change of a configuration file that is yet to be made.

use std::path::Path;

use super::{ConfigError, ConfigFile, unified_diff};

/// A file and what it is to hold, None for no file.
#[derive(Debug)]
pub struct Change {
    file: ConfigFile,
    text: Option<String>,
    hidden: bool,
}

impl Change {
    /// That `file` is to hold `text`.
    pub fn new(file: ConfigFile, text: Option<String>) -> Self {
        Self {
            file,
            text,
            hidden: false,
        }
    }

    /// The same, of a file that is of no interest to the user.
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Whether it is of no interest to the user.
    pub fn is_hidden(&self) -> bool {
        self.hidden
    }

    /// The file's path, as it was given.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Whether there is to be no file.
    pub fn removes(&self) -> bool {
        self.text.is_none()
    }

    /// Whether the file does not hold that already.
    pub fn changes(&self) -> bool {
        !self.file.is(self.text.as_deref())
    }

    /// As a unified diff; empty if nothing changes.
    pub fn diff(&self) -> String {
        unified_diff(self.path(), self.file.text(), self.text.as_deref())
    }

    /// Makes it. Nothing is written to a file that stays the same.
    ///
    /// # Errors
    /// As [`ConfigFile::replace`]: the file is as it was.
    pub fn carry_out(&self) -> Result<(), ConfigError> {
        if self.changes() {
            self.file.replace(self.text.as_deref())?;
        }
        Ok(())
    }

    /// Undoes what [`carry_out`](Self::carry_out) did.
    ///
    /// # Errors
    /// As there: the file is as it is after the change.
    pub fn take_back(&self) -> Result<(), ConfigError> {
        if self.file.text() == self.text.as_deref() {
            return Ok(());
        }
        let done = self.file.holding(self.text.as_deref());
        done.replace(self.file.text())
    }
}
