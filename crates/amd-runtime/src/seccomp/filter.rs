//! A compiled filter, and the file that it is kept in.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::SeccompError;
use super::program::{self, Instruction};
use crate::state::write_atomically;

/// A filter that is ready to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Flags of seccomp(2) (`SECCOMP_FILTER_FLAG_*`).
    pub flags: u64,
    /// The program.
    pub program: Vec<Instruction>,
    /// Who decides about calls with `SCMP_ACT_NOTIFY`, where there are any.
    pub listener: Option<Listener>,
}

/// The seccomp agent of a profile (config-linux.md, `listenerPath`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its Unix socket on the host.
    pub path: PathBuf,
    /// What it is told beside the state of the container.
    pub metadata: String,
}

/// What is in front of the program in the file, on a line of its own.
#[derive(Serialize, Deserialize)]
struct Header {
    flags: u64,
    listener: Option<Listener>,
}

impl Filter {
    /// The filter that [`Self::write`] wrote to `path`; `None` where there is no file.
    ///
    /// # Errors
    /// Where the file cannot be read or understood.
    pub fn read(path: &Path) -> Result<Option<Self>, SeccompError> {
        let bytes = match fs::read(path) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(SeccompError::io(format!("cannot read {path:?}")))?,
        };
        let filter = Self::from_bytes(&bytes);
        let filter = filter.map_err(|why| SeccompError::Damaged(format!("{path:?}: {why}")))?;
        Ok(Some(filter))
    }

    /// The filter that [`Self::to_bytes`] made bytes of.
    ///
    /// # Errors
    /// Says what is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (header, program) = end
            .and_then(|end| bytes.split_at_checked(end + 1))
            .ok_or("no header")?;
        let header: Header = serde_json::from_slice(header).map_err(|err| err.to_string())?;
        let program = program::parse(program).ok_or("half an instruction")?;
        Ok(Self {
            flags: header.flags,
            program,
            listener: header.listener,
        })
    }

    /// Writes the filter to `path`, whole or not at all.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), SeccompError> {
        let failed = SeccompError::io(format!("cannot write {path:?}"));
        write_atomically(path, &self.to_bytes()).map_err(failed)
    }

    /// The filter as it is kept: flags and agent as a line of JSON, and the program.
    pub fn to_bytes(&self) -> Vec<u8> {
        let header = json!(Header {
            flags: self.flags,
            listener: self.listener.clone(),
        });
        let mut bytes = header.to_string().into_bytes();
        bytes.push(b'\n');
        bytes.extend(self.program.iter().flat_map(|i| i.to_bytes()));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("filter");
        assert_eq!(Filter::read(&path).unwrap(), None);
        let filter = Filter {
            flags: 10,
            program: vec![Instruction::load(0x0a0a), Instruction::result(7)],
            listener: Some(Listener {
                path: "/run/agent".into(),
                metadata: "two\nlines".into(),
            }),
        };
        filter.write(&path).unwrap();
        assert_eq!(Filter::read(&path).unwrap(), Some(filter));
        let torn = fs::read(&path).unwrap();
        fs::write(&path, &torn[..torn.len() - 1]).unwrap();
        assert!(Filter::read(&path).is_err());
    }
}
