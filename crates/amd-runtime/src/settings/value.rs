//! The values that keys take, as types that cannot hold anything else.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, Error as _, Unexpected};

/// How a default is written in the sample.
pub(crate) trait SampleValue {
    /// The value as TOML.
    fn to_toml(&self) -> String;
}

impl SampleValue for bool {
    fn to_toml(&self) -> String {
        self.to_string()
    }
}

impl<T: SampleValue> SampleValue for Vec<T> {
    fn to_toml(&self) -> String {
        let items: Vec<String> = self.iter().map(SampleValue::to_toml).collect();
        format!("[{}]", items.join(", "))
    }
}

/// A string that is one of a few words.
macro_rules! choice {
    (
        $(#[$attribute:meta])*
        pub enum $Name:ident {$(
            $(#[$variant_attribute:meta])*
            $Variant:ident = $word:literal,
        )*}
    ) => {
        $(#[$attribute])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $Name {$(
            $(#[$variant_attribute])*
            $Variant,
        )*}

        impl $Name {
            /// The word in the file.
            pub const fn as_str(self) -> &'static str {
                match self {$(
                    Self::$Variant => $word,
                )*}
            }
        }

        impl fmt::Display for $Name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl SampleValue for $Name {
            fn to_toml(&self) -> String {
                format!("\"{self}\"")
            }
        }

        impl<'de> Deserialize<'de> for $Name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let word = String::deserialize(deserializer)?;
                match word.as_str() {
                    $( $word => Ok(Self::$Variant), )*
                    _ => Err(D::Error::invalid_value(
                        Unexpected::Str(&word),
                        &one_of(&[$( $word, )*]).as_str(),
                    )),
                }
            }
        }
    };
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("one of {}", quoted.join(", "))
}

choice! {
    /// The least severe messages that are logged.
    pub enum LogLevel {
        /// What made a command fail.
        Error = "error",
        /// What an administrator should look at.
        Warn = "warn",
        /// What was done to a container.
        Info = "info",
        /// Every step.
        Debug = "debug",
    }
}

impl From<LogLevel> for tracing::level_filters::LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
        }
    }
}

choice! {
    /// What a request that names no GPU of this host is.
    pub enum UnknownGpu {
        /// The container is not created.
        Error = "error",
        /// A warning; the container gets the GPUs that the rest of its request names.
        Warn = "warn",
    }
}

choice! {
    /// The containers whose environment may ask for GPUs.
    pub enum RequestsFrom {
        /// Every container.
        Any = "any",
        /// Privileged containers only.
        Privileged = "privileged",
        /// No container.
        None = "none",
    }
}

/// The file of the runtime's own log: an absolute path, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogFile(Option<PathBuf>);

impl LogFile {
    /// The file, if a log is wanted.
    pub fn path(&self) -> Option<&Path> {
        self.0.as_deref()
    }
}

impl SampleValue for LogFile {
    fn to_toml(&self) -> String {
        toml_string(&self.0.as_deref().unwrap_or(Path::new("")).to_string_lossy())
    }
}

impl<'de> Deserialize<'de> for LogFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "" => Ok(Self(None)),
            path if path.starts_with('/') && !path.contains('\0') => Ok(Self(Some(text.into()))),
            path => Err(D::Error::invalid_value(
                Unexpected::Str(path),
                &"an absolute path, or \"\" for no log",
            )),
        }
    }
}

/// The beginning of a `<KIND>` in `DOCKER_RESOURCE_<KIND>`; never empty, since an
/// empty one would make every resource of the host an AMD GPU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceKind(String);

impl ResourceKind {
    /// Whether a resource of this kind is an AMD GPU; case counts.
    pub fn covers(&self, kind: &str) -> bool {
        kind.starts_with(&self.0)
    }

    /// The text in the file.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `AMD_GPU` and `AMD-GPU`: what the guides have people write in daemon.json's
/// `node-generic-resources`.
pub(crate) fn default_resource_kinds() -> Vec<ResourceKind> {
    ["AMD_GPU", "AMD-GPU"]
        .map(|kind| ResourceKind(kind.to_owned()))
        .into()
}

impl SampleValue for ResourceKind {
    fn to_toml(&self) -> String {
        toml_string(&self.0)
    }
}

impl<'de> Deserialize<'de> for ResourceKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // Neither can be in the name of an environment variable.
        if text.is_empty() || text.contains(['=', '\0']) {
            return Err(D::Error::invalid_value(
                Unexpected::Str(&text),
                &"the kind of a generic resource, as in DOCKER_RESOURCE_<KIND>",
            ));
        }
        Ok(Self(text))
    }
}

/// A TOML basic string. Defaults hold no control characters, for which Rust's
/// escapes differ from TOML's.
fn toml_string(text: &str) -> String {
    format!("{text:?}")
}
