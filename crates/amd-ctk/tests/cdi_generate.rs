//! `amd-ctk cdi generate`

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use serde_json::{Value, json};
use support::{Host, Outcome};

const GENERATE: [&str; 2] = ["cdi", "generate"];

/// A host with device nodes, where this user may make them.
fn host() -> Option<Host> {
    let host = Host::mixed();
    host.make_nodes().then_some(host)
}

fn generate(host: &Host, args: &[&str]) -> Outcome {
    host.amd_ctk(&[&GENERATE, args].concat())
}

/// The spec on standard output.
#[track_caller]
fn printed(host: &Host, args: &[&str]) -> Value {
    let run = generate(host, &[&["--output", "-"], args].concat());
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

fn file(host: &Host, path: &str) -> PathBuf {
    host.path().join(path)
}

#[test]
fn the_spec_goes_to_etc_cdi_of_the_host_where_engines_can_read_it() {
    let Some(host) = host() else { return };
    let run = generate(&host, &[]);
    assert_eq!(
        run.stdout,
        "wrote <host>/etc/cdi/amd.json (CDI 0.6.0, 3 GPUs, 4 devices)\n"
    );
    assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
    let written = fs::read_to_string(file(&host, "etc/cdi/amd.json")).unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&written).unwrap(),
        printed(&host, &[])
    );
    let mode = |path| file(&host, path).metadata().unwrap().mode() & 0o7777;
    assert_eq!(mode("etc/cdi/amd.json"), 0o644);
    assert_eq!(mode("etc/cdi"), 0o755);
}

#[test]
fn nodes_have_no_numbers_so_that_the_spec_survives_a_reboot() {
    let Some(host) = host() else { return };
    let before = printed(&host, &[]);
    assert_eq!(
        before["devices"][2]["containerEdits"]["deviceNodes"],
        json!([{"path": "/dev/dri/card3"}, {"path": "/dev/dri/renderD130"}])
    );
    host.remove("/dev/kfd");
    assert!(host.node("kfd", 511, 0));
    assert_eq!(printed(&host, &[]), before);
}

#[test]
fn an_unchanged_host_rewrites_nothing() {
    let Some(host) = host() else { return };
    assert_eq!(generate(&host, &[]).code, Some(0));
    let path = file(&host, "etc/cdi/amd.json");
    let before = path.metadata().unwrap();
    let run = generate(&host, &[]);
    assert_eq!(
        run.stdout,
        "unchanged: <host>/etc/cdi/amd.json (CDI 0.6.0, 3 GPUs, 4 devices)\n"
    );
    let after = path.metadata().unwrap();
    assert_eq!(
        (after.ino(), after.mtime_nsec()),
        (before.ino(), before.mtime_nsec())
    );
}

#[test]
fn a_spec_that_nobody_else_could_read_becomes_readable() {
    let Some(host) = host() else { return };
    assert_eq!(generate(&host, &[]).code, Some(0));
    let path = file(&host, "etc/cdi/amd.json");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(generate(&host, &[]).code, Some(0));
    assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o644);
}

#[test]
fn a_missing_node_is_an_error_that_names_it_and_no_device_0_0() {
    for (node, hint) in [
        ("/dev/kfd", "modprobe amdgpu"),
        ("/dev/dri/renderD130", "udevadm"),
    ] {
        let Some(host) = host() else { return };
        host.remove(node);
        let run = generate(&host, &[]);
        assert!(
            run.stderr
                .starts_with(&format!("error: cannot stat <host>{node}, ")),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains(hint), "{}", run.stderr);
        assert_eq!((run.stdout.as_str(), run.code), ("", Some(1)));
        assert!(!file(&host, "etc").exists());
    }
}

#[test]
fn a_file_in_the_place_of_a_node_is_an_error_and_no_device_0_0() {
    let Some(host) = host() else { return };
    host.remove("/dev/kfd");
    host.file("/dev/kfd", "");
    let run = generate(&host, &[]);
    assert!(
        run.stderr
            .contains("<host>/dev/kfd is not a character device"),
        "{}",
        run.stderr
    );
    assert_eq!(run.code, Some(1));
}

#[test]
fn a_host_without_gpus_is_an_error_with_a_hint() {
    let run = generate(&Host::bare(), &["--output", "-"]);
    assert!(run.stderr.contains("no GPU"), "{}", run.stderr);
    assert!(run.stderr.contains("\nhint: "), "{}", run.stderr);
    assert_eq!((run.stdout.as_str(), run.code), ("", Some(1)));
}

#[test]
fn the_ending_of_the_file_tells_its_language() {
    let Some(host) = host() else { return };
    for (name, args, is_json) in [
        ("a.json", &[][..], true),
        ("a.yaml", &[], false),
        ("b.yaml", &["--format", "json"], true),
        ("b.json", &["--format", "yaml"], false),
    ] {
        let path = file(&host, name);
        let output = ["--output", path.to_str().unwrap()];
        assert_eq!(generate(&host, &[&output, args].concat()).code, Some(0));
        let text = fs::read_to_string(path).unwrap();
        assert_eq!(text.starts_with('{'), is_json, "{name}");
        let value: Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(value, printed(&host, &[]), "{name}");
    }
}

#[test]
fn a_name_that_engines_do_not_look_at_is_warned_of() {
    let Some(host) = host() else { return };
    let path = file(&host, "amd.txt");
    let run = generate(&host, &["--output", path.to_str().unwrap()]);
    assert!(
        run.stderr.contains("engines read no spec"),
        "{}",
        run.stderr
    );
    assert_eq!(run.code, Some(0));
}

#[test]
fn devices_are_named_by_every_strategy_asked_for() {
    let Some(host) = host() else { return };
    let strategies = ["index", "uuid", "pci"].map(|name| ["--device-name-strategy", name]);
    let spec = printed(&host, strategies.as_flattened());
    let names: Vec<&str> = spec["devices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|device| device["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "0",
            "1",
            "2",
            "0xE3AA140F9A5F9E31",
            "0000:05:00.0",
            "0000:c1:00.0",
            "all"
        ]
    );
}

#[test]
fn a_gpu_without_a_uuid_is_warned_of_where_only_uuids_are_names() {
    let Some(host) = host() else { return };
    let run = generate(&host, &["--output", "-", "--device-name-strategy", "uuid"]);
    assert_eq!(
        run.stderr,
        "warning: GPU 2 (0000:c1:00.0) has no UUID: only amd.com/gpu=all has it\n\
         hint: add `--device-name-strategy index` or `pci`\n"
    );
    assert_eq!(run.code, Some(0));
}

#[test]
fn groups_are_given_on_request_and_only_in_a_version_that_has_them() {
    let Some(host) = host() else { return };
    std::os::unix::fs::chown(file(&host, "dev/kfd"), None, Some(992)).unwrap();
    let spec = printed(&host, &["--additional-gids"]);
    assert_eq!(spec["cdiVersion"], "0.7.0");
    let gids = |device: usize| spec["devices"][device]["containerEdits"]["additionalGids"].clone();
    assert_eq!(gids(0), json!([992]));
    assert_eq!(gids(2), Value::Null, "group 0 is ignored by consumers");

    let args = ["-o", "-", "--additional-gids", "--cdi-version", "0.6.0"];
    let run = generate(&host, &args);
    assert_eq!(
        run.stderr,
        "error: CDI 0.6.0 does not have additionalGids, which this spec needs: that came with \
         0.7.0\nhint: ask for 0.7.0 or later, or do without additionalGids\n"
    );
    assert_eq!(run.code, Some(1));
}

#[test]
fn an_older_engine_gets_a_spec_that_it_knows() {
    let Some(host) = host() else { return };
    let spec = printed(&host, &["--cdi-version", "0.5.0"]);
    assert_eq!(spec["cdiVersion"], "0.5.0");
    assert_eq!(spec.get("annotations"), None);
    let run = generate(&host, &["-o", "-", "--cdi-version", "0.9.0"]);
    assert!(
        run.stderr.contains("is not a CDI version"),
        "{}",
        run.stderr
    );
    assert_eq!(run.code, Some(2));
}

#[test]
fn an_engine_that_sees_dev_elsewhere_is_told_where() {
    let Some(host) = host() else { return };
    let spec = printed(&host, &["--dev-root", "/host"]);
    assert_eq!(
        spec["devices"][0]["containerEdits"]["deviceNodes"][0],
        json!({"path": "/dev/kfd", "hostPath": "/host/dev/kfd"})
    );
}

#[test]
fn a_place_of_dev_must_be_absolute() {
    let run = generate(&Host::mixed(), &["-o", "-", "--dev-root", "host"]);
    assert_eq!(run.stderr, "error: --dev-root host: not an absolute path\n");
    assert_eq!((run.stdout.as_str(), run.code), ("", Some(1)));
}

#[test]
fn a_place_of_dev_must_be_utf_8() {
    let host = Host::mixed();
    let run = support::program()
        .arg("--host-root")
        .arg(host.path())
        .args(["cdi", "generate", "-o", "-", "--dev-root"])
        .arg(OsStr::from_bytes(b"/host\xff"))
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(run.stderr).unwrap(),
        "error: --dev-root /host\u{fffd}: not UTF-8\n\
         hint: paths in a CDI spec are UTF-8: name a symbolic link to the directory\n"
    );
    assert_eq!(
        (run.stdout.as_slice(), run.status.code()),
        (&b""[..], Some(1))
    );
}
