//! The causes that libcontainer keeps to itself.
//!
//! When the container's init fails, libcontainer sends the runtime the `Display` of
//! the outermost error and nothing below it ("failed to prepare rootfs"). What went
//! wrong is in its log, written by the forked process. [`Causes`] stands in front of
//! the caller's `tracing` subscriber while libcontainer builds, passes everything on,
//! and keeps a copy of the error events in a memfd that the forked processes share.
//!
//! Upstream: youki's errors carry their sources, and `exec_failed(e.to_string())` in
//! `process/container_intermediate_process.rs` drops them.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Read, Seek, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use nix::sys::memfd::{MFdFlags, memfd_create};
use tracing::field::{Field, Visit};
use tracing::span;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// Events of our own that name a cause in the words that clients know; they are
/// reported instead of libcontainer's.
pub const OURS: &str = "amd_runtime::cause";

/// Between two events in the memfd; no event has it.
const SEPARATOR: char = '\0';
/// In front of an event of ours.
const MARK: char = '\u{1}';

/// Error events seen while a closure runs, in this process and its children.
#[derive(Debug)]
pub struct Causes {
    file: Arc<File>,
}

impl Causes {
    /// An empty list.
    ///
    /// # Errors
    /// Where the kernel gives no memfd.
    pub fn new() -> io::Result<Self> {
        let fd = memfd_create(c"causes", MFdFlags::MFD_CLOEXEC)?;
        Ok(Self {
            file: Arc::new(File::from(fd)),
        })
    }

    /// Where the causes are kept, for those who write [`record`]s of their own.
    pub fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Runs `f` and keeps the error events that it and the processes that it forks emit.
    pub fn watch<T>(&self, f: impl FnOnce() -> T) -> T {
        let inner = tracing::dispatcher::get_default(Dispatch::clone);
        let recorder = Recorder {
            inner,
            file: Arc::clone(&self.file),
        };
        tracing::subscriber::with_default(recorder, f)
    }

    /// The innermost cause: the event of ours where there is one, else the first that
    /// libcontainer wrote.
    pub fn innermost(&self) -> Option<Cause> {
        let mut text = String::new();
        let mut file = &*self.file;
        file.rewind().ok()?;
        file.read_to_string(&mut text).ok()?;
        let events = || text.split(SEPARATOR).filter(|event| !event.is_empty());
        let ours = events().find_map(|event| event.strip_prefix(MARK));
        let cause = |ours, text: &str| Cause {
            ours,
            text: text.to_owned(),
        };
        ours.map(|text| cause(true, text))
            .or_else(|| events().next().map(|text| cause(false, text)))
    }
}

/// One cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Whether it is in the words of this runtime, and says all there is to say.
    pub ours: bool,
    /// The cause.
    pub text: String,
}

struct Recorder {
    inner: Dispatch,
    file: Arc<File>,
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR || self.inner.enabled(metadata)
    }

    fn new_span(&self, attributes: &span::Attributes<'_>) -> span::Id {
        self.inner.new_span(attributes)
    }

    fn record(&self, span: &span::Id, values: &span::Record<'_>) {
        self.inner.record(span, values);
    }

    fn record_follows_from(&self, span: &span::Id, follows: &span::Id) {
        self.inner.record_follows_from(span, follows);
    }

    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() == Level::ERROR {
            let ours = event.metadata().target() == OURS;
            let text = record(ours, &describe(event));
            // A cause that cannot be kept must not break what is being built.
            let _ = (&*self.file).write_all(text.as_bytes());
            // The runtime reports it, in the same words.
            if ours {
                return;
            }
        }
        if self.inner.enabled(event.metadata()) {
            self.inner.event(event);
        }
    }

    fn enter(&self, span: &span::Id) {
        self.inner.enter(span);
    }

    fn exit(&self, span: &span::Id) {
        self.inner.exit(span);
    }

    fn clone_span(&self, id: &span::Id) -> span::Id {
        self.inner.clone_span(id)
    }

    fn try_close(&self, id: span::Id) -> bool {
        self.inner.try_close(id)
    }
}

/// An event as it is kept: what a process without this subscriber writes, too.
pub fn record(ours: bool, text: &str) -> String {
    let mark = if ours {
        MARK.to_string()
    } else {
        String::new()
    };
    format!("{mark}{}{SEPARATOR}", text.replace([SEPARATOR, MARK], " "))
}

/// An event as `message (field value, ...): error`.
fn describe(event: &Event<'_>) -> String {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let mut text = fields.message;
    if !fields.others.is_empty() {
        let _ = write!(text, " ({})", fields.others);
    }
    if !fields.error.is_empty() && !text.contains(&fields.error) {
        let _ = write!(text, ": {}", fields.error);
    }
    text
}

#[derive(Default)]
struct Fields {
    message: String,
    error: String,
    others: String,
}

impl Fields {
    fn take(&mut self, name: &str, value: &dyn fmt::Display) {
        let _ = match name {
            "message" => write!(self.message, "{value}"),
            "err" | "error" | "e" => write!(self.error, "{value}"),
            other => {
                let comma = if self.others.is_empty() { "" } else { ", " };
                write!(self.others, "{comma}{other} {value}")
            }
        };
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field.name(), &format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field.name(), &value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_event_is_the_innermost_cause() {
        let causes = Causes::new().unwrap();
        causes.watch(|| {
            tracing::error!(path = "/x", err = "ENOENT", "failed to mount");
            tracing::error!("failed to prepare rootfs");
            tracing::warn!("not a cause");
        });
        let cause = causes.innermost().unwrap();
        assert_eq!(cause.text, "failed to mount (path /x): ENOENT");
        assert!(!cause.ours);
    }

    #[test]
    fn a_cause_of_ours_goes_before_libcontainers() {
        let causes = Causes::new().unwrap();
        causes.watch(|| {
            tracing::error!("failed to do something");
            tracing::error!(target: OURS, "exec: \"x\": not found");
        });
        let text = "exec: \"x\": not found".to_owned();
        assert_eq!(causes.innermost(), Some(Cause { ours: true, text }));
    }

    #[test]
    fn without_an_error_there_is_no_cause() {
        let causes = Causes::new().unwrap();
        assert_eq!(causes.watch(|| 7), 7);
        assert_eq!(causes.innermost(), None);
    }
}
