//! `amd-ctk runtime configure`: what it does to files

#![allow(clippy::unwrap_used, reason = "a fixture may panic")]

mod engine_host;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::thread;

use engine_host::Host;

const DAEMON_JSON: &str =
    "{\n    \"log-opts\": {\"max-size\": \"10m\"},\n    \"n\": 12345678901234567890123\n}";

#[test]
fn removal_gives_back_every_file_of_every_engine() {
    let host = Host::with_daemon_json(DAEMON_JSON);
    host.file("etc/containerd/config.toml", "# mine\nversion = 2\n");
    let before = host.files();
    for engine in ["docker", "containerd", "crio", "podman"] {
        let engine = ["--runtime", engine];
        host.configured(&[&engine[..], &["--set-as-default", "--enable-cdi"]].concat());
        assert_ne!(host.files(), before, "{engine:?}");
        host.configured(&[&engine[..], &["--remove"]].concat());
        assert_eq!(host.files(), before, "{engine:?}");
    }
}

#[test]
fn removal_leaves_cdi_specs_and_other_runtimes_alone() {
    let text = r#"{"features":{"buildkit":true},"default-runtime":"nvidia","runtimes":{"nvidia":{"path":"n"}}}"#;
    let host = Host::with_daemon_json(text);
    host.file("etc/cdi/nvidia.json", "{}");
    let before = host.files();
    host.configured(&["--remove"]);
    host.configured(&["--unset-as-default"]);
    assert_eq!(host.files(), before);
}

#[test]
fn a_file_that_stays_the_same_is_not_written() {
    let host = Host::with_daemon_json(DAEMON_JSON);
    host.configured(&[]);
    let inode = fs::metadata(host.daemon_json()).unwrap().ino();
    assert_eq!(host.configured(&[]), "nothing to change\n");
    assert_eq!(fs::metadata(host.daemon_json()).unwrap().ino(), inode);
}

#[test]
fn mode_and_owner_stay() {
    let host = Host::with_daemon_json(DAEMON_JSON);
    fs::set_permissions(host.daemon_json(), Permissions::from_mode(0o640)).unwrap();
    if chown(host.daemon_json(), Some(12), Some(34)).is_err() {
        eprintln!("skipped: needs root");
        return;
    }
    for options in [&[][..], &["--remove"]] {
        host.configured(options);
        let meta = fs::metadata(host.daemon_json()).unwrap();
        assert_eq!(
            (meta.mode() & 0o7777, meta.uid(), meta.gid()),
            (0o640, 12, 34)
        );
    }
}

/// A POSIX ACL as the kernel has it: tags, permissions and ids.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let entries = entries.iter().flat_map(|(tag, permissions, id)| {
        let [tag, permissions] = [tag, permissions].map(|number| number.to_le_bytes());
        [&tag[..], &permissions, &id.to_le_bytes()].concat()
    });
    2_u32.to_le_bytes().into_iter().chain(entries).collect()
}

fn attribute(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = Vec::with_capacity(1024);
    rustix::fs::getxattr(path, name, rustix::buffer::spare_capacity(&mut value)).ok()?;
    Some(value)
}

#[test]
fn extended_attributes_and_acls_stay() {
    const NOBODY: u32 = 65_534;
    const UNUSED: u32 = u32::MAX;
    let host = Host::with_daemon_json(DAEMON_JSON);
    let path = host.daemon_json();
    // The owner may write, a user read, the group and all others nothing.
    let readable = acl(&[
        (0x01, 6, UNUSED),
        (0x02, 4, NOBODY),
        (0x04, 0, UNUSED),
        (0x10, 4, UNUSED),
        (0x20, 0, UNUSED),
    ]);
    let attributes = [
        ("user.origin", b"puppet".to_vec()),
        ("trusted.mark", b"1".to_vec()),
        ("system.posix_acl_access", readable),
    ];
    for (name, value) in &attributes {
        let flags = rustix::fs::XattrFlags::empty();
        if rustix::fs::setxattr(&path, *name, value, flags).is_err() {
            eprintln!("skipped: {name} cannot be set here");
            return;
        }
    }
    let mode = fs::metadata(&path).unwrap().mode();
    for options in [&[][..], &["--remove"]] {
        host.configured(options);
        for (name, value) in &attributes {
            assert_eq!(attribute(&path, name).as_ref(), Some(value), "{name}");
        }
        assert_eq!(fs::metadata(&path).unwrap().mode(), mode);
    }
}

#[test]
fn a_default_acl_of_the_directory_opens_no_file_that_was_there() {
    const NOBODY: u32 = 65_534;
    const UNUSED: u32 = u32::MAX;
    let host = Host::with_daemon_json(DAEMON_JSON);
    let default = acl(&[
        (0x01, 7, UNUSED),
        (0x02, 7, NOBODY),
        (0x04, 5, UNUSED),
        (0x10, 7, UNUSED),
        (0x20, 5, UNUSED),
    ]);
    let dir = host.path("etc/docker");
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(&dir, "system.posix_acl_default", &default, flags).is_err() {
        eprintln!("skipped: no ACLs here");
        return;
    }
    host.configured(&[]);
    let path = host.daemon_json();
    assert_eq!(attribute(&path, "system.posix_acl_access"), None);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
}

const RECORD: &str = "etc/docker/.daemon.json.amd-ctk";

#[test]
fn the_record_of_what_was_before_is_for_the_owner_of_daemon_json_alone() {
    let host = Host::with_daemon_json(DAEMON_JSON);
    let record = host.path(RECORD);
    let mode = || fs::metadata(&record).unwrap().mode() & 0o7777;
    host.configured(&[]);
    assert_eq!(mode(), 0o600);
    // As an earlier one was written.
    fs::set_permissions(&record, Permissions::from_mode(0o644)).unwrap();
    if chown(host.daemon_json(), Some(12), Some(34)).is_err() {
        eprintln!("skipped: needs root");
        return;
    }
    assert_eq!(host.configured(&[]), "nothing to change\n");
    let meta = fs::metadata(&record).unwrap();
    assert_eq!((mode(), meta.uid(), meta.gid()), (0o600, 12, 34));
    let inode = meta.ino();
    host.configured(&[]);
    assert_eq!(fs::metadata(&record).unwrap().ino(), inode);
}

#[test]
fn a_change_that_fails_leaves_no_record_of_it() {
    let host = Host::with_daemon_json(DAEMON_JSON);
    let chattr = |option: &str| {
        let mut chattr = Command::new("chattr");
        chattr.arg(option).arg(host.daemon_json()).status()
    };
    if !chattr("+i").is_ok_and(|status| status.success()) {
        eprintln!("skipped: needs root, and a file system with immutable files");
        return;
    }
    let output = host.configure(&[]);
    chattr("-i").unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("\nhint: `lsattr -d "), "{stderr}");
    assert!(!host.path(RECORD).exists());
    assert_eq!(host.read("etc/docker/daemon.json"), DAEMON_JSON);
    // Where there was one, it is that of before.
    host.configured(&[]);
    let before = host.files();
    assert!(chattr("+i").unwrap().success());
    host.configure(&["--set-as-default"]);
    chattr("-i").unwrap();
    assert_eq!(host.files(), before);
}

#[test]
fn a_file_that_is_made_has_mode_0644() {
    let host = Host::new();
    host.configured(&[]);
    assert_eq!(
        fs::metadata(host.daemon_json()).unwrap().mode() & 0o7777,
        0o644
    );
}

#[test]
fn a_symbolic_link_stays_one() {
    let host = Host::new();
    host.file("srv/daemon.json", DAEMON_JSON);
    fs::create_dir_all(host.path("etc/docker")).unwrap();
    symlink("../../srv/daemon.json", host.daemon_json()).unwrap();
    host.configured(&[]);
    assert!(host.daemon_json().is_symlink());
    assert!(
        host.read("srv/daemon.json")
            .contains("amd-container-runtime")
    );
    host.configured(&["--remove"]);
    assert!(host.daemon_json().is_symlink());
    assert_eq!(host.read("srv/daemon.json"), DAEMON_JSON);
}

#[test]
fn links_lead_where_they_do_on_the_host() {
    for (engine, file, text) in [
        ("docker", "etc/docker/daemon.json", DAEMON_JSON),
        ("containerd", "etc/containerd/config.toml", "version = 2\n"),
        ("crio", "etc/crio/crio.conf.d/99-amd.conf", "# mine\n"),
        (
            "podman",
            "etc/containers/containers.conf.d/99-amd.conf",
            "# mine\n",
        ),
    ] {
        let host = Host::new();
        host.file("srv/amd-ctk-test/file", text);
        let path = host.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink("/srv/amd-ctk-test/file", &path).unwrap();
        let before = host.read("srv/amd-ctk-test/file");
        let engine = ["--runtime", engine];
        host.configured(&engine);
        assert!(path.is_symlink());
        assert!(
            host.read("srv/amd-ctk-test/file")
                .contains("amd-container-runtime"),
            "{engine:?}"
        );
        host.configured(&[&engine[..], &["--remove"]].concat());
        assert_eq!(host.read("srv/amd-ctk-test/file"), before, "{engine:?}");
    }
    assert!(!Path::new("/srv/amd-ctk-test").exists());
}

#[test]
fn a_directory_may_be_a_link_on_the_host() {
    let host = Host::new();
    fs::create_dir_all(host.path("srv/amd-ctk-docker")).unwrap();
    fs::create_dir_all(host.path("etc")).unwrap();
    symlink("/srv/amd-ctk-docker", host.path("etc/docker")).unwrap();
    host.configured(&[]);
    assert!(host.path("srv/amd-ctk-docker/daemon.json").exists());
    assert!(
        host.path("srv/amd-ctk-docker/.daemon.json.amd-ctk")
            .exists()
    );
    host.configured(&["--remove"]);
    assert_eq!(
        fs::read_dir(host.path("srv/amd-ctk-docker"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn the_program_may_be_a_link_on_the_host() {
    let host = Host::new();
    let program = host.path("usr/bin/amd-container-runtime");
    fs::rename(&program, host.path("usr/bin/real")).unwrap();
    fs::create_dir_all(host.path("etc/alternatives")).unwrap();
    symlink("/etc/alternatives/amd", &program).unwrap();
    symlink("/usr/bin/real", host.path("etc/alternatives/amd")).unwrap();
    host.configured(&[]);
    assert!(
        host.read("etc/docker/daemon.json")
            .contains("\"/usr/bin/amd-container-runtime\"")
    );
}

/// Runs `configure` for `engine` with `file` on a host, over and over, where files may have
/// so many bytes and more. Over the limit, a write fails as on a full disk where the signal is
/// ignored, and else the program is killed.
#[track_caller]
fn limited_writes(engine: &str, file: &str, before: &str) {
    let host = || {
        let host = Host::new();
        host.file(file, before);
        host
    };
    let engine = ["--runtime", engine];
    let whole = host();
    whole.configured(&engine);
    let after = whole.read(file);
    let own = env!("CARGO_BIN_EXE_amd-ctk");
    for (kind, signal) in [("full disk", "trap '' XFSZ;"), ("kill", "")] {
        let mut done = 0;
        let limits: Vec<_> = (0..700).step_by(29).collect();
        for limit in &limits {
            let host = host();
            let script = host.path("limited");
            let text = format!("#!/bin/sh\n{signal}\nexec prlimit --fsize={limit} {own} \"$@\"\n");
            fs::write(&script, text).unwrap();
            fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
            let output = host.command(&script, &engine);
            if output.status.success() {
                assert_eq!(host.read(file), after);
                done += 1;
            } else {
                assert_eq!(host.read(file), before, "{kind} at {limit}: {output:?}");
            }
            let names: Vec<_> = host.files().into_iter().map(|(path, _)| path).collect();
            let temporary = names
                .iter()
                .any(|path| path.to_string_lossy().contains(".amd-ctk-"));
            assert!(
                signal.is_empty() || !temporary,
                "{kind} at {limit}: {names:?}"
            );
            // What a failure leaves behind does not stand in the way of the next command.
            host.configured(&engine);
            host.configured(&[&engine[..], &["--remove"]].concat());
            assert_eq!(host.read(file), before);
        }
        assert!(
            0 < done && done < limits.len(),
            "limits below and above what is written"
        );
    }
}

#[test]
fn a_write_that_ends_at_any_byte_leaves_the_old_file() {
    limited_writes(
        "containerd",
        "etc/containerd/config.toml",
        "# mine\nversion = 2\n",
    );
}

#[test]
fn a_write_of_the_record_that_ends_at_any_byte_leaves_the_old_file() {
    limited_writes("docker", "etc/docker/daemon.json", DAEMON_JSON);
}

#[test]
fn a_runtime_in_another_file_of_the_engine_is_not_hidden_by_a_drop_in() {
    for (engine, file, text) in [
        (
            "crio",
            "etc/crio/crio.conf.d/10-mine.conf",
            "[crio.runtime.runtimes.amd]\nruntime_path = '/opt/mine'\n",
        ),
        (
            "podman",
            "etc/containers/containers.conf",
            "[engine.runtimes]\namd = ['/opt/mine']\n",
        ),
        (
            "containerd",
            "etc/containerd/config.toml",
            "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n\
             [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.amd]\n",
        ),
    ] {
        let host = Host::new();
        host.file(file, text);
        let before = host.files();
        let output = host.configure(&["--runtime", engine]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(stderr.contains("\"amd\" is there already"), "{stderr}");
        assert!(
            stderr.contains("\nhint: choose another --runtime-name"),
            "{stderr}"
        );
        assert_eq!(host.files(), before);
    }
}

#[test]
fn commands_at_the_same_time_do_not_lose_each_others_edits() {
    let host = Host::with_daemon_json(DAEMON_JSON);
    let names = ["a", "b", "c", "d", "e", "f"];
    thread::scope(|scope| {
        for name in names {
            scope.spawn(|| host.configured(&["--runtime-name", name]));
        }
    });
    for name in names {
        assert!(
            host.configured(&["--runtime-name", name, "--remove"])
                .starts_with("changed")
        );
    }
    assert_eq!(host.read("etc/docker/daemon.json"), DAEMON_JSON);
}

#[test]
fn a_killed_command_leaves_nothing_in_a_directory_of_drop_ins() {
    let host = Host::new();
    fs::create_dir_all(host.path("etc/crio/crio.conf.d")).unwrap();
    let script = host.path("limited");
    let own = env!("CARGO_BIN_EXE_amd-ctk");
    fs::write(
        &script,
        format!("#!/bin/sh\nexec prlimit --fsize=9 {own} \"$@\"\n"),
    )
    .unwrap();
    fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
    assert!(
        !host
            .command(&script, &["--runtime", "crio"])
            .status
            .success()
    );
    assert_eq!(
        fs::read_dir(host.path("etc/crio/crio.conf.d"))
            .unwrap()
            .count(),
        0
    );
}
