//! How a failure reaches the caller: the log that engines read, and stderr.

use std::error::Error as StdError;
use std::fmt;

use super::logging::Log;
use super::say;
use crate::{Error, chain};

/// A failed command: which one, and why.
#[derive(Debug)]
pub struct Failure {
    message: String,
    hint: Option<String>,
    /// Exit status of the runtime.
    pub code: u8,
}

impl Failure {
    /// A failure of `command`, with the whole chain of causes.
    pub fn of(command: &str, error: &anyhow::Error) -> Self {
        let hint = error.chain().find_map(hint_of);
        let source: &(dyn StdError + 'static) = error.as_ref();
        let message = match command {
            // runc's prefixes, which show in docker's output.
            "create" | "run" | "exec" => {
                format!("amd-container-runtime {command} failed: {}", chain(source))
            }
            _ => chain(source),
        };
        // runc exits with 255 where exec itself failed, with 1 everywhere else.
        let code = if command == "exec" { 255 } else { 1 };
        Self {
            message,
            hint,
            code,
        }
    }

    /// Writes it to the logs and, for people, to stderr.
    pub fn report(&self, logs: &mut [Log]) {
        for log in logs {
            log.error(&self.to_string());
        }
        say(&format!("error: {}", self.message));
        if let Some(hint) = &self.hint {
            say(&format!("hint: {hint}"));
        }
    }
}

/// In one line, as the log has it: `docker run` shows nothing else.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " (hint: {hint})"),
            None => Ok(()),
        }
    }
}

fn hint_of(error: &(dyn StdError + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<Error>() {
        return error.hint();
    }
    if let Some(error) = error.downcast_ref::<crate::settings::SettingsError>() {
        return error.hint();
    }
    error
        .downcast_ref::<crate::seal::SealError>()
        .and_then(|error| error.hint())
}
