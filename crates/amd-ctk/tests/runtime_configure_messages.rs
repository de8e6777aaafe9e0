//! `amd-ctk runtime configure`: its command line and what it says

#![allow(clippy::unwrap_used, reason = "a fixture may panic")]

mod engine_host;

use std::fs::{self, File};
use std::process::Command;

use engine_host::Host;
use nix::fcntl::{Flock, FlockArg};

#[test]
fn removal_where_there_is_no_file_makes_none() {
    let host = Host::new();
    let before = host.files();
    for engine in ["docker", "containerd", "crio", "podman"] {
        assert_eq!(
            host.configured(&["--runtime", engine, "--remove"]),
            "nothing to change\n"
        );
        assert_eq!(
            host.configured(&["--runtime", engine, "--unset-as-default"]),
            "nothing to change\n"
        );
    }
    assert_eq!(host.files(), before);
}

#[test]
fn a_dry_run_prints_a_diff_and_writes_nothing() {
    let host = Host::with_daemon_json("{\n  \"a\": 1\n}\n");
    let before = host.files();
    let diff = host.configured(&["--dry-run", "--set-as-default"]);
    let path = host.daemon_json();
    let path = path.display();
    assert_eq!(
        diff,
        format!(
            "--- {path}\n+++ {path}\n@@ -1,3 +1,10 @@\n {{\n-  \"a\": 1\n+  \"a\": 1,\n\
             +  \"runtimes\": {{\n+    \"amd\": {{\n\
             +      \"path\": \"/usr/bin/amd-container-runtime\",\n\
             +      \"runtimeArgs\": []\n+    }}\n+  }},\n+  \"default-runtime\": \"amd\"\n }}\n"
        )
    );
    assert_eq!(host.files(), before);
}

#[test]
fn files_that_cannot_be_understood_stay_and_the_error_has_a_place() {
    for (engine, file, text, place) in [
        (
            "docker",
            "etc/docker/daemon.json",
            "{\n  // x\n}",
            "line 2, column 3",
        ),
        (
            "docker",
            "etc/docker/daemon.json",
            "{\"runtimes\": [1]}",
            "line 1, column 14",
        ),
        (
            "docker",
            "etc/docker/daemon.json",
            "{\"a\": 1, \"a\": 1}",
            "line 1, column 10",
        ),
        (
            "containerd",
            "etc/containerd/config.toml",
            "version = 2\n[x\n",
            "line 2, column 3",
        ),
        (
            "containerd",
            "etc/containerd/config.toml",
            "version = 9\n",
            "line 1, column 11",
        ),
        ("crio", "etc/crio/crio.conf", "[crio\n", "line 1, column 6"),
        (
            "crio",
            "etc/crio/crio.conf.d/99-amd.conf",
            "crio = 1\n",
            "line 1, column 8",
        ),
        (
            "podman",
            "etc/containers/containers.conf.d/99-amd.conf",
            "[engine]\nruntimes = []\n",
            "line 2, column 12",
        ),
    ] {
        let host = Host::new();
        host.file(file, text);
        let before = host.files();
        let output = host.configure(&["--runtime", engine]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        let expected = format!("error: {}: {place}: ", host.path(file).display());
        assert!(stderr.starts_with(&expected), "{stderr}");
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(host.files(), before);
    }
}

#[test]
fn text_that_is_not_utf_8_is_an_error_with_a_place() {
    let host = Host::new();
    fs::create_dir_all(host.path("etc/docker")).unwrap();
    fs::write(host.daemon_json(), b"{\n\"a\": \"\xff\"}").unwrap();
    let output = host.configure(&[]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.ends_with("line 2, column 7: not UTF-8\n"),
        "{stderr}"
    );
}

#[test]
fn the_spellings_of_the_manuals_work() {
    let host = Host::new();
    host.configured(&["--amd-set-as-default"]);
    assert!(
        host.read("etc/docker/daemon.json")
            .contains("\"default-runtime\": \"amd\"")
    );
    host.configured(&["--unset-amd-as-default"]);
    assert!(
        !host
            .read("etc/docker/daemon.json")
            .contains("default-runtime")
    );
    let output = Command::new(env!("CARGO_BIN_EXE_amd-ctk"))
        .args(["configure", "runtime", "--remove", "--host-root"])
        .arg(host.root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(!host.daemon_json().exists());
}

#[test]
fn it_says_what_to_restart() {
    let host = Host::new();
    for (engine, options, advice) in [
        ("docker", &[][..], "systemctl reload docker"),
        ("docker", &["--enable-cdi"], "systemctl restart docker"),
        ("containerd", &[], "systemctl restart containerd"),
        ("crio", &[], "systemctl restart crio"),
        ("podman", &[], "the next container is started with it"),
    ] {
        let stdout = host.configured(&[&["--runtime", engine], options].concat());
        assert!(stdout.starts_with("changed "), "{stdout}");
        assert!(stdout.trim_end().ends_with(advice), "{stdout}");
    }
}

#[test]
fn a_program_that_is_not_there_is_an_error_before_anything_is_written() {
    let host = Host::new();
    let before = host.files();
    for (path, message) in [
        (
            "/nonexistent/runtime",
            "--runtime-path /nonexistent/runtime: no such program",
        ),
        (
            "bin/runtime",
            "--runtime-path bin/runtime: not an absolute path",
        ),
        (
            "no-such-runtime",
            "no-such-runtime is not in PATH, beside amd-ctk, or in /usr/bin",
        ),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_amd-ctk"))
            .args([
                "runtime",
                "configure",
                "--runtime-path",
                path,
                "--host-root",
            ])
            .arg(host.root())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.starts_with(&format!("error: {message}\n")),
            "{stderr}"
        );
        assert_eq!(output.status.code(), Some(1));
    }
    assert_eq!(host.files(), before);
}

#[test]
fn a_host_root_that_is_not_there_is_an_error() {
    for option in ["--remove", "--dry-run"] {
        let output = Command::new(env!("CARGO_BIN_EXE_amd-ctk"))
            .args([
                "--host-root",
                "/nonexistent",
                "runtime",
                "configure",
                option,
            ])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(
            stderr.starts_with("error: --host-root /nonexistent: no such directory"),
            "{stderr}"
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn an_engine_of_another_host_cannot_be_told_and_nothing_is_changed() {
    let host = Host::new();
    let before = host.files();
    let output = host.configure(&["--restart"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("error: --restart: the engine runs on the host below "),
        "{stderr}"
    );
    assert!(
        stderr.ends_with("leave it out; on that host, to apply it: systemctl reload docker\n"),
        "{stderr}"
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(host.files(), before);
    host.configured(&["--runtime=podman", "--restart"]);
}

#[test]
fn a_lock_that_somebody_keeps_is_an_error_and_no_matter_of_a_dry_run() {
    let host = Host::with_daemon_json("{}");
    let before = host.files();
    let dir = File::open(host.path("etc/docker")).unwrap();
    let _held = Flock::lock(dir, FlockArg::LockExclusive).unwrap();
    assert!(host.configured(&["--dry-run"]).contains("amd"));
    let output = host.configure(&[]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    let dir = host.path("etc/docker");
    let dir = dir.display();
    assert!(
        stderr.starts_with(&format!(
            "error: another program keeps {dir} locked\nhint: `fuser -v {dir}`"
        )),
        "{stderr}"
    );
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(host.files(), before);
}

#[test]
fn options_that_contradict_each_other_are_a_wrong_command_line() {
    let host = Host::new();
    for options in [
        ["--remove", "--set-as-default"],
        ["--remove", "--unset-as-default"],
        ["--set-as-default", "--unset-as-default"],
        ["--dry-run", "--restart"],
        ["--runtime", "lxc"],
        ["--runtime-name", "a b"],
    ] {
        assert_eq!(
            host.configure(&options).status.code(),
            Some(2),
            "{options:?}"
        );
    }
}
