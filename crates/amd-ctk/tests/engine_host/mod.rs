//! A host with configuration files of engines, and runs of `amd-ctk runtime configure` on it.

#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "shared by test programs; a fixture may panic"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A directory in which a host's /etc and /usr/bin are.
pub struct Host(tempfile::TempDir);

impl Host {
    pub fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        host.file("usr/bin/amd-container-runtime", "#!/bin/true\n");
        let program = host.path("usr/bin/amd-container-runtime");
        fs::set_permissions(program, Permissions::from_mode(0o755)).unwrap();
        host
    }

    pub fn with_daemon_json(text: &str) -> Self {
        let host = Self::new();
        host.file("etc/docker/daemon.json", text);
        host
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    pub fn daemon_json(&self) -> PathBuf {
        self.path("etc/docker/daemon.json")
    }

    pub fn file(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// `amd-ctk runtime configure` with these options.
    pub fn configure(&self, options: &[&str]) -> Output {
        self.command(Path::new(env!("CARGO_BIN_EXE_amd-ctk")), options)
    }

    pub fn command(&self, program: &Path, options: &[&str]) -> Output {
        Command::new(program)
            .env(
                "PATH",
                format!("{}:/usr/bin:/bin", self.path("usr/bin").display()),
            )
            .args(["runtime", "configure", "--host-root"])
            .arg(self.0.path())
            .args(["--runtime-path", "/usr/bin/amd-container-runtime"])
            .args(options)
            .output()
            .unwrap()
    }

    /// Makes a program `containerd` in /usr/bin that is of this version.
    pub fn containerd(&self, version: &str) {
        let line = format!("containerd github.com/containerd/containerd/v2 v{version} 0123");
        self.file("usr/bin/containerd", &format!("#!/bin/sh\necho {line}\n"));
        let program = self.path("usr/bin/containerd");
        fs::set_permissions(program, Permissions::from_mode(0o755)).unwrap();
    }

    /// The same, which must succeed; its stdout.
    #[track_caller]
    pub fn configured(&self, options: &[&str]) -> String {
        let output = self.configure(options);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Every file below the directory, and what is in it.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut dirs = vec![self.0.path().to_owned()];
        let mut files = Vec::new();
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    files.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        files.sort();
        files
    }
}
