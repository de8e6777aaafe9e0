//! The container engines, a module each: how their configuration files name an OCI runtime.
//!
//! The rules are pure functions from text to text. [`plan`] reads the files they apply to,
//! and says what would change.

//pub mod containerd;
//pub mod crio;
pub mod docker;
//pub mod podman;

/// The program that engines run, by its name.
pub const DEFAULT_PROGRAM: &str = "amd-container-runtime";

/// What is asked of an engine's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// The engine knows our runtime.
    Configure(Settings),
    /// The engine's default is not our runtime.
    UnsetDefault {
        /// The name of the runtime.
        name: String,
    },
    /// Nothing of our runtime is in the engine's configuration.
    Remove {
        /// The name of the runtime.
        name: String,
        /// The program that an entry runs which is ours, even if no record of it is left.
        path: String,
    },
}

/// How an engine is to know our runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The name under which containers ask for it.
    pub name: String,
    /// The absolute path of the program.
    pub path: String,
    /// Whether it is what runs containers that ask for no runtime. False leaves the default
    /// as it is.
    pub default: bool,
    /// Whether CDI is switched on. False leaves it as it is.
    pub cdi: bool,
}
