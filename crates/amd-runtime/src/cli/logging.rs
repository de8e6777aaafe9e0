//! Logs in the shape of logrus, as runc writes them and as engines read them.
//!
//! containerd's shim shows the user the last line of the `--log` file with
//! `"level":"error"`. What libcontainer logs is therefore never written as an error:
//! its error events are causes of the one error that the runtime reports at the end.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use chrono::{SecondsFormat, Utc};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// `time="..." level=error msg="..."`
    #[default]
    Text,
    /// `{"level":"error","msg":"...","time":"..."}`
    Json,
}

/// One log file.
#[derive(Debug)]
pub struct Log {
    sink: Sink,
    format: Format,
}

#[derive(Debug)]
enum Sink {
    File(File),
    /// By its number, and no copy: a container's init has a terminal there, and must not hold on to
    /// what the caller has. What `caller`'s forks have there may be the container's: they warn
    /// there, and say no more.
    Stderr {
        caller: u32,
    },
}

impl Log {
    /// Opens `path` for appending. A file that is not there yet is made with mode 0600:
    /// a log names paths and ids that are nobody else's business.
    ///
    /// # Errors
    /// Where it cannot be opened.
    pub fn open(path: &Path, format: Format) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        Ok(Self {
            sink: Sink::File(file),
            format,
        })
    }

    /// Standard error as a log.
    pub fn stderr() -> Self {
        Self {
            sink: Sink::Stderr {
                caller: std::process::id(),
            },
            format: Format::Text,
        }
    }

    /// Another handle on the same file.
    ///
    /// # Errors
    /// Where the descriptor cannot be duplicated.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            sink: match &self.sink {
                Sink::File(file) => Sink::File(file.try_clone()?),
                Sink::Stderr { caller } => Sink::Stderr { caller: *caller },
            },
            format: self.format,
        })
    }

    /// Writes the error that ends the command.
    pub fn error(&mut self, message: &str) {
        self.line("error", message);
    }

    fn line(&mut self, level: &str, message: &str) {
        let time = Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true);
        let line = format_line(self.format, level, message, &time);
        // One write a line, so that lines of concurrent runtimes do not mix. There is
        // nowhere to report that the log itself cannot be written.
        let _ = match &mut self.sink {
            Sink::File(file) => file.write_all(line.as_bytes()),
            Sink::Stderr { caller } if level != "warning" && *caller != std::process::id() => {
                Ok(())
            }
            Sink::Stderr { .. } => io::stderr().write_all(line.as_bytes()),
        };
    }
}

fn format_line(format: Format, level: &str, message: &str, time: &str) -> String {
    match format {
        Format::Json => {
            format!(
                "{}\n",
                json!({"level": level, "msg": message, "time": time})
            )
        }
        Format::Text => format!("time=\"{time}\" level={level} msg={message:?}\n"),
    }
}

/// Writes `tracing` events to a log.
pub struct LogLayer {
    log: Mutex<Log>,
}

impl LogLayer {
    /// A layer that writes to `log`.
    pub fn new(log: Log) -> Self {
        Self {
            log: Mutex::new(log),
        }
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = match *event.metadata().level() {
            // See the module's description.
            Level::ERROR | Level::WARN => "warning",
            Level::INFO => "info",
            Level::DEBUG | Level::TRACE => "debug",
        };
        let mut message = Message::default();
        event.record(&mut message);
        if let Ok(mut log) = self.log.lock() {
            log.line(level, &message.0);
        }
    }
}

/// An event as `message key=value ...`.
#[derive(Default)]
struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        let _ = match field.name() {
            "message" if self.0.is_empty() => write!(self.0, "{value:?}"),
            "message" => {
                let fields = std::mem::take(&mut self.0);
                write!(self.0, "{value:?} {fields}")
            }
            name => write!(self.0, "{space}{name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_are_what_engines_read() {
        let line = format_line(Format::Json, "error", "a \"b\"\nc", "2026-01-02T03:04:05Z");
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["level"], "error");
        assert_eq!(value["msg"], "a \"b\"\nc");
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn text_lines_are_logrus_lines() {
        assert_eq!(
            format_line(Format::Text, "error", "a \"b\"", "T"),
            "time=\"T\" level=error msg=\"a \\\"b\\\"\"\n"
        );
    }

    #[test]
    fn a_new_log_is_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let tmp = tempfile::tempdir().unwrap();
        let path = tmp.path().join("log");
        Log::open(&path, Format::Json).unwrap().error("x");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}
