//! Drives an OCI runtime by its command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::binary;
use crate::bundle::Bundle;
use crate::host::SimulatedHost;
use crate::outcome::Outcome;

/// A runtime with a state root of its own on a simulated host. Containers that it leaves
/// go with the host.
#[derive(Clone, Debug)]
pub struct Runtime<'h> {
    host: &'h SimulatedHost,
    program: PathBuf,
    root: PathBuf,
    options: Vec<String>,
}

#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
impl<'h> Runtime<'h> {
    /// The runtime under test, see [`binary::runtime_under_test`].
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn under_test(host: &'h SimulatedHost) -> Self {
        Self::at(host, binary::runtime_under_test().unwrap())
    }

    /// The runtime of which `program` is the binary.
    pub fn at(host: &'h SimulatedHost, program: PathBuf) -> Self {
        Self {
            host,
            program,
            root: "/run/runtime-root".into(),
            options: Vec::new(),
        }
    }

    /// With a global option, such as `--log F`, ahead of the command.
    pub fn option(mut self, words: &[&str]) -> Self {
        self.options
            .extend(words.iter().map(|&word| word.to_owned()));
        self
    }

    /// With a settings file of this text.
    ///
    /// # Panics
    /// When it cannot be written.
    #[track_caller]
    pub fn settings(self, toml: &str) -> Self {
        let path = "/etc/settings-under-test.toml";
        self.host.inside(|| fs::write(path, toml)).unwrap().unwrap();
        self.option(&["--config", path])
    }

    /// Its state root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its binary.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The command line for `words`, with `--root` and the global options ahead of them.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .arg("--root")
            .arg(&self.root)
            .args(&self.options)
            .args(words);
        command
    }

    /// Runs the runtime with `words`.
    ///
    /// # Panics
    /// When it cannot be started.
    #[track_caller]
    pub fn call(&self, words: &[&str]) -> Outcome {
        Outcome::of(self.host, &mut self.command(words)).unwrap()
    }

    /// `run`, in the foreground.
    pub fn run(&self, bundle: &Bundle<'_>) -> Outcome {
        self.call(&["run", "--bundle", path(bundle), bundle.id()])
    }

    /// `create`.
    pub fn create(&self, bundle: &Bundle<'_>) -> Outcome {
        self.call(&["create", "--bundle", path(bundle), bundle.id()])
    }

    /// `start`.
    pub fn start(&self, id: &str) -> Outcome {
        self.call(&["start", id])
    }

    /// `create` and `start`, both of which must succeed.
    #[track_caller]
    pub fn up(&self, bundle: &Bundle<'_>) {
        self.create(bundle).ok();
        self.start(bundle.id()).ok();
    }

    /// `exec` of a program in a container.
    pub fn exec(&self, id: &str, args: &[&str]) -> Outcome {
        self.call(&[&["exec", id], args].concat())
    }

    /// `kill` with a signal, as `KILL` or `9`.
    pub fn kill(&self, id: &str, signal: &str) -> Outcome {
        self.call(&["kill", id, signal])
    }

    /// `delete`.
    pub fn delete(&self, id: &str) -> Outcome {
        self.call(&["delete", id])
    }

    /// `state`, parsed.
    ///
    /// # Panics
    /// When it fails or prints no JSON.
    #[track_caller]
    pub fn state(&self, id: &str) -> Value {
        serde_json::from_str(&self.call(&["state", id]).ok()).unwrap()
    }

    /// Waits for a container's program to end.
    ///
    /// # Panics
    /// When that takes more than thirty seconds.
    #[track_caller]
    pub fn wait_stopped(&self, id: &str) {
        eventually("the container stops", || {
            self.state(id)["status"] == "stopped"
        });
    }
}

/// Waits until something is so.
///
/// # Panics
/// When it is not after thirty seconds.
#[track_caller]
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !so() {
        assert!(
            Instant::now() < deadline,
            "not within thirty seconds: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Bundles are made by tests, below /run: their paths are text.
fn path<'b>(bundle: &'b Bundle<'_>) -> &'b str {
    bundle.path().to_str().unwrap_or_default()
}
