//! What is known of a `daemon.json`: its text, and what we did to it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::config_file::EditError;
use crate::config_file::json::Document;

/// What was done to a `daemon.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The text before our first edit, None where there was no file. Edits that others made
    /// between two of ours are in it.
    pub before: Option<String>,
    /// The text that we wrote last.
    pub after: String,
    /// The runtimes that we added.
    pub runtimes: BTreeSet<String>,
}

/// A `daemon.json`, None where there is no file, and the record that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// The text of the file.
    pub text: Option<String>,
    /// None where nothing of ours is in the file, as far as we know.
    pub record: Option<Record>,
}

impl State {
    /// The state without a record that is of another text: with none of our runtimes in it,
    /// somebody wrote the file anew, and what is like an edit of ours is theirs.
    ///
    /// # Errors
    /// Where the text is not what dockerd accepts.
    pub fn current(&self) -> Result<Self, EditError> {
        let text = self.text.as_deref().unwrap_or_default();
        let document = Document::parse(text)?;
        let mut state = self.clone();
        if let Some(record) = &self.record {
            let mut there = false;
            for name in &record.runtimes {
                there |= document.get(&["runtimes", name])?.is_some();
            }
            state.record = state.record.filter(|_| there);
        }
        Ok(state)
    }
}
