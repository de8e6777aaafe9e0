//! A CDI file of anybody's, as `cdi validate` and `cdi list` read it.

use std::path::Path;

use amd_ctk::cdi;

/// One input.
pub fn run(text: &str) {
    for name in ["a.json", "a.yaml"] {
        match cdi::read_text(Path::new(name), text) {
            Ok(found) => {
                let _ = cdi::faults(&found.value);
                let document = found.document();
                let _ = (document.names().count(), found.valid_document().is_ok());
            }
            Err(error) => drop(error.to_string()),
        }
    }
}
