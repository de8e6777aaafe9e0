//! The one optional settings file, `/etc/amd-container-runtime/config.toml`.
//!
//! Every key has a default and is declared once, in this file: the declaration
//! yields the parser, the default and the commented sample that [`sample`]
//! prints. The file is read on each `create`, so it stays small and flat.

mod declare;
mod error;
mod load;
#[cfg(test)]
mod tests;
mod value;

use declare::settings;

pub use error::{Distrust, SettingsError};
pub use value::{LogFile, LogLevel, RequestsFrom, ResourceKind, UnknownGpu};

/// Where the settings are when `--config` names no other file.
pub const DEFAULT_PATH: &str = "/etc/amd-container-runtime/config.toml";

settings! {
    /// The runtime's own log, beside the one that the caller asks for with `--log`.
    [log] pub struct Log {
        /// How much is logged, here and to `--log`: "error", "warn", "info" or "debug".
        /// The option `--debug` means "debug".
        pub level: LogLevel = LogLevel::Warn,

        /// An absolute path; the file is created with mode 0600 and appended to.
        /// Empty: the runtime keeps no log of its own.
        pub file: LogFile = LogFile::default(),
    }

    /// Which containers get GPUs, and what comes with a GPU.
    [gpus] pub struct Gpus {
        /// Whether a process that is not root gets the groups of its GPUs' device nodes
        /// (render, video) as additional groups. Without them it cannot open the nodes.
        pub additional_gids: bool = true,

        /// What to do about a request that names no GPU of this host: "error" refuses to
        /// create the container; "warn" logs it and goes on with the GPUs that there are.
        pub unknown: UnknownGpu = UnknownGpu::Error,

        /// Whose `AMD_VISIBLE_DEVICES` and `DOCKER_RESOURCE_*` variables count: "any"
        /// container's, those of "privileged" containers only, or "none". An image can set
        /// these variables too, so "any" lets whoever builds an image ask for GPUs.
        pub requests_from: RequestsFrom = RequestsFrom::Any,

        /// The generic resources that are AMD GPUs: a variable `DOCKER_RESOURCE_<KIND>`
        /// asks for GPUs if its kind is or begins with one of these.
        pub resource_kinds: Vec<ResourceKind> = value::default_resource_kinds(),
    }
}
