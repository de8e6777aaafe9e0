//! What went wrong, as the user reads it.

use std::fmt;
use std::io::{self, Write};

use discovery::DiscoveryError;
use discovery::cdi::CdiError;
use discovery::edits::EditsError;

/// Why a command failed or did not do all of it, and the way out where there is one.
#[derive(Debug)]
pub struct CommandError {
    cause: anyhow::Error,
    hint: Option<String>,
}

impl CommandError {
    /// A failure whose way out is known.
    pub fn new(cause: impl Into<anyhow::Error>, hint: Option<String>) -> Self {
        Self {
            cause: cause.into(),
            hint,
        }
    }

    /// Whether the reader of our output went away, which is its right.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        self.cause
            .downcast_ref::<io::Error>()
            .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Writes the whole chain of causes on one line, and the hint on its own.
    /// `severity` is `error` where the command stops, else `warning`.
    pub(crate) fn report(&self, severity: &str, err: &mut dyn Write) {
        // There is nobody left to tell if stderr is gone.
        let _ = writeln!(err, "{severity}: {self}");
        if let Some(hint) = &self.hint {
            let _ = writeln!(err, "hint: {hint}");
        }
    }
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.cause)
    }
}

impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::new(error, None)
    }
}

impl From<DiscoveryError> for CommandError {
    fn from(error: DiscoveryError) -> Self {
        let hint = error.hint();
        Self::new(error, hint)
    }
}

impl From<EditsError> for CommandError {
    fn from(error: EditsError) -> Self {
        let hint = error.hint();
        Self::new(error, hint)
    }
}

impl From<CdiError> for CommandError {
    fn from(error: CdiError) -> Self {
        let hint = error.hint();
        Self::new(error, hint)
    }
}
