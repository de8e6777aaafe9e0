//! Writes a plan to the files of a cgroup; where a value is refused, what was written before it is
//! taken back. The kernel has no transaction for that, so the way back is by the same files.

use std::fs::{self, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::LimitError;
use super::plan::{Before, Group, Write};
use crate::cgroup::files::Dirs;

/// What takes a write back.
#[derive(Debug)]
struct Undo {
    path: PathBuf,
    value: String,
}

/// Values that were written.
#[derive(Debug)]
pub struct Applied(Vec<Undo>);

impl Applied {
    /// Puts back what was there before, as far as it is known: newest first; then once more, for values
    /// that depend on others which are back by then.
    pub fn take_back(self) {
        let put_back = |undo: &Undo| put(&undo.path, &undo.value);
        let failed = self.0.iter().rev().filter(|undo| put_back(undo).is_err());
        for undo in failed.collect::<Vec<_>>() {
            if let Err(err) = put_back(undo) {
                tracing::warn!("cannot put back {:?} in {:?}: {err}", undo.value, undo.path);
            }
        }
    }
}

/// Writes all values of `plan`, or none.
///
/// # Errors
/// The first value that is refused.
pub fn run(plan: &[Group], dirs: &Dirs<'_>) -> Result<Applied, LimitError> {
    let mut applied = Applied(Vec::new());
    let written = plan
        .iter()
        .try_for_each(|group| write_group(group, dirs, &mut applied.0));
    match written {
        Ok(()) => Ok(applied),
        Err(err) => {
            applied.take_back();
            Err(err)
        }
    }
}

fn write_group(group: &Group, dirs: &Dirs<'_>, done: &mut Vec<Undo>) -> Result<(), LimitError> {
    let mut again = Vec::new();
    for write in &group.writes {
        let Some(path) = dirs.path(&write.file) else {
            if write.optional {
                continue;
            }
            return Err(missing(group, write, dirs));
        };
        let undo = previous(&path, &write.before);
        match put(&path, &write.value) {
            Err(err) if write.again && err.raw_os_error() == Some(libc::EINVAL) => {
                again.push((write, path));
                continue;
            }
            written => written.map_err(|err| refused(&path, &write.value, err))?,
        }
        done.extend(undo.map(|value| Undo {
            path: path.clone(),
            value,
        }));
        if write.exact {
            check_exact(&path, write)?;
        }
    }
    for (write, path) in again {
        let undo = previous(&path, &write.before);
        put(&path, &write.value).map_err(|err| refused(&path, &write.value, err))?;
        done.extend(undo.map(|value| Undo { path, value }));
    }
    Ok(())
}

fn previous(path: &Path, before: &Before) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    match before {
        Before::Whole => Some(text.trim_end_matches('\n').to_owned()),
        Before::Line { key, unset } => {
            let is_it = |line: &&str| line.split(' ').next() == Some(key);
            Some(text.lines().find(is_it).unwrap_or(unset).to_owned())
        }
        Before::Unknown => None,
    }
}

fn put(path: &Path, value: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).truncate(true).open(path)?;
    // In one call: every write(2) is a value of its own to the kernel. Nothing at all would be no
    // call, and is how a set of CPUs is emptied.
    let value = if value.is_empty() { "\n" } else { value };
    file.write_all(value.as_bytes())
}

fn missing(group: &Group, write: &Write, dirs: &Dirs<'_>) -> LimitError {
    let controller = group.controller.to_owned();
    if dirs.has_controller(&controller) {
        LimitError::NoFile {
            controller,
            file: write.file.clone(),
        }
    } else {
        LimitError::NoController { controller }
    }
}

fn refused(path: &Path, value: &str, source: io::Error) -> LimitError {
    let is_limit = path.ends_with("memory.limit_in_bytes");
    if is_limit && source.kind() == ErrorKind::ResourceBusy {
        let read = |file: &str| {
            let text = fs::read_to_string(path.with_file_name(file)).unwrap_or_default();
            text.trim().to_owned()
        };
        return LimitError::MemoryBusy {
            limit: value.to_owned(),
            usage: read("memory.usage_in_bytes"),
            peak: read("memory.max_usage_in_bytes"),
        };
    }
    LimitError::Write {
        path: path.to_owned(),
        value: value.to_owned(),
        source,
    }
}

/// The kernel makes shares that are too few or too many the nearest that it takes.
fn check_exact(path: &Path, write: &Write) -> Result<(), LimitError> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let (Ok(wanted), Ok(got)) = (write.value.parse::<u64>(), text.trim().parse::<u64>()) else {
        return Ok(());
    };
    let bound = match wanted.cmp(&got) {
        std::cmp::Ordering::Equal => return Ok(()),
        std::cmp::Ordering::Greater => "maximum",
        std::cmp::Ordering::Less => "minimum",
    };
    Err(LimitError::Invalid(format!(
        "the {bound} allowed cpu-shares is {got}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cgroup(files: &[(&str, &str)]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let tmp = tempfile::tempdir().unwrap();
        for (file, text) in files {
            fs::write(tmp.path().join(file), text).unwrap();
        }
        let dirs = vec![tmp.path().to_owned()];
        (tmp, dirs)
    }

    fn group(writes: Vec<Write>) -> [Group; 1] {
        [Group {
            controller: "memory",
            writes,
        }]
    }

    #[test]
    fn what_was_written_before_a_failure_is_taken_back() {
        let (tmp, dirs) = cgroup(&[
            ("memory.max", "7\n"),
            ("io.max", "8:0 rbps=1\n8:16 rbps=2\n"),
        ]);
        let plan = group(vec![
            Write::new("memory.max", 9),
            Write::line("io.max", "8:16", "rbps=5", "rbps=max"),
            Write::new("memory.high", 1),
        ]);
        let err = run(&plan, &Dirs::new(&dirs)).unwrap_err();
        assert!(matches!(err, LimitError::NoFile { .. }), "{err}");
        let read = |file: &str| fs::read_to_string(tmp.path().join(file)).unwrap();
        assert_eq!(read("memory.max"), "7");
        assert_eq!(read("io.max"), "8:16 rbps=2");
    }

    #[test]
    fn what_was_written_can_be_taken_back() {
        let (tmp, dirs) = cgroup(&[("memory.max", "7\n"), ("memory.high", "5\n")]);
        let plan = group(vec![
            Write::new("memory.max", 9),
            Write::new("memory.high", 8),
        ]);
        let applied = run(&plan, &Dirs::new(&dirs)).unwrap();
        let read = |file: &str| fs::read_to_string(tmp.path().join(file)).unwrap();
        assert_eq!(
            (read("memory.max"), read("memory.high")),
            ("9".into(), "8".into())
        );
        applied.take_back();
        assert_eq!(
            (read("memory.max"), read("memory.high")),
            ("7".into(), "5".into())
        );
    }

    #[test]
    fn a_line_that_was_not_there_is_unset() {
        let (_tmp, dirs) = cgroup(&[("io.max", "8:0 rbps=1\n")]);
        let before = Write::line("io.max", "8:16", "rbps=5", "rbps=max").before;
        let old = previous(&dirs[0].join("io.max"), &before).unwrap();
        assert_eq!(old, "8:16 rbps=max");
    }

    #[test]
    fn a_controller_that_is_missing_is_told_from_a_limit_that_is() {
        let (_tmp, dirs) = cgroup(&[("memory.max", "7\n")]);
        let fails = |controller, file: &str| {
            let plan = [Group {
                controller,
                writes: vec![Write::new(file, 1)],
            }];
            run(&plan, &Dirs::new(&dirs)).unwrap_err().to_string()
        };
        assert_eq!(
            fails("hugetlb", "hugetlb.2MB.max"),
            "cannot set hugetlb limit: container could not join or create cgroup"
        );
        assert_eq!(
            fails("memory", "memory.low"),
            "cannot set memory.low: this kernel's memory controller has no such limit"
        );
    }

    #[test]
    fn an_optional_limit_may_be_missing() {
        let (_tmp, dirs) = cgroup(&[]);
        let plan = group(vec![Write::new("memory.swap.max", "max").optional()]);
        assert!(run(&plan, &Dirs::new(&dirs)).is_ok());
    }
}
