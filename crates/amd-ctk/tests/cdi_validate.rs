//! `amd-ctk cdi validate`

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};
use support::{Host, Outcome};

/// A host with device nodes and its spec, where this user may make them.
fn host() -> Option<Host> {
    let host = Host::mixed();
    host.make_nodes().then(|| {
        assert_eq!(host.amd_ctk(&["cdi", "generate"]).code, Some(0));
        host
    })
}

fn validate(host: &Host) -> Outcome {
    host.amd_ctk(&["cdi", "validate"])
}

fn spec(host: &Host) -> Value {
    let text = std::fs::read_to_string(host.path().join("etc/cdi/amd.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn set_spec(host: &Host, spec: &Value) {
    host.file("/etc/cdi/amd.json", &spec.to_string());
}

/// That these findings are told, a line each, and the exit code is not 0.
#[track_caller]
fn assert_finds(run: &Outcome, findings: &[&str]) {
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines, findings, "{}", run.stderr);
    let plural = if findings.len() == 1 { "" } else { "s" };
    let error = format!("error: {} finding{plural}\nhint: ", findings.len());
    assert!(run.stderr.starts_with(&error), "{}", run.stderr);
    assert_eq!(run.code, Some(1));
}

#[test]
fn a_spec_that_was_just_generated_is_valid() {
    let Some(host) = host() else { return };
    let run = validate(&host);
    assert_eq!(
        run.stdout,
        "valid: <host>/etc/cdi/amd.json (amd.com/gpu, CDI 0.6.0, 4 devices)\n"
    );
    assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
}

#[test]
fn every_way_to_generate_gives_a_valid_spec() {
    for args in [
        &["--additional-gids"][..],
        &["--cdi-version", "0.5.0"],
        &["--cdi-version", "1.1.0"],
        &["--device-name-strategy", "uuid,pci"],
        &["--format", "yaml"],
    ] {
        let Some(host) = host() else { return };
        std::os::unix::fs::chown(host.path().join("dev/kfd"), None, Some(992)).unwrap();
        let generated = host.amd_ctk(&[&["cdi", "generate"], args].concat());
        assert_eq!(generated.code, Some(0), "{}", generated.stderr);
        let run = validate(&host);
        assert_eq!(run.code, Some(0), "{args:?}: {}{}", run.stdout, run.stderr);
    }
}

#[test]
fn an_invalid_spec_is_a_failure_that_names_the_place() {
    let Some(host) = host() else { return };
    let mut spec = spec(&host);
    spec["cdiVersion"] = "0.5.0".into();
    spec["devices"][0]["containerEdits"]["deviceNodes"][0] = json!({"path": "/dev/kfd", "x": 1});
    set_spec(&host, &spec);
    assert_finds(
        &validate(&host),
        &[
            "<host>/etc/cdi/amd.json: invalid: annotations: CDI 0.5.0 does not have this field: \
             it came with 0.6.0",
            "<host>/etc/cdi/amd.json: invalid: devices[0].containerEdits.deviceNodes[0].x: no \
             version of CDI has this field",
        ],
    );
}

#[test]
fn a_missing_node_is_named() {
    let Some(host) = host() else { return };
    host.remove("/dev/dri/renderD130");
    assert_finds(
        &validate(&host),
        &[
            "<host>/etc/cdi/amd.json: missing: /dev/dri/renderD130 is not there, for \
             amd.com/gpu=2, amd.com/gpu=all",
        ],
    );
}

#[test]
fn a_gpu_that_went_away_is_named_and_the_indices_that_moved() {
    let Some(host) = host() else { return };
    host.remove("/sys/bus/pci/drivers/amdgpu/0000:05:00.0");
    let run = validate(&host);
    let lines: Vec<&str> = run.stdout.lines().collect();
    for expected in [
        "vanished: amd.com/gpu=1 is no GPU of this host: the last one is 0",
        "vanished: amd.com/gpu=2 is no GPU of this host: the last one is 0",
        "stale: amd.com/gpu=0 lacks /dev/dri/card3, /dev/dri/renderD130",
    ] {
        let line = format!("<host>/etc/cdi/amd.json: {expected}");
        assert!(lines.contains(&line.as_str()), "{expected}\n{}", run.stdout);
    }
    assert_eq!(run.code, Some(1));
}

#[test]
fn an_index_that_is_another_gpu_now_is_named() {
    let Some(host) = host() else { return };
    let mut spec = spec(&host);
    let edits = |spec: &Value, device: usize| spec["devices"][device]["containerEdits"].clone();
    let (first, second) = (edits(&spec, 0), edits(&spec, 1));
    spec["devices"][0]["containerEdits"] = second;
    spec["devices"][1]["containerEdits"] = first;
    set_spec(&host, &spec);
    assert_finds(
        &validate(&host),
        &[
            "<host>/etc/cdi/amd.json: renumbered: amd.com/gpu=0 has nodes of GPU 1 \
             (0000:05:00.0); it should be GPU 0 (0000:05:00.0)",
            "<host>/etc/cdi/amd.json: renumbered: amd.com/gpu=1 has nodes of GPU 0 \
             (0000:05:00.0); it should be GPU 1 (0000:05:00.0)",
        ],
    );
}

#[test]
fn numbers_of_an_earlier_boot_are_stale() {
    let Some(host) = host() else { return };
    let mut spec = spec(&host);
    spec["devices"][0]["containerEdits"]["deviceNodes"][0] =
        json!({"path": "/dev/kfd", "type": "c", "major": 0, "minor": 0});
    set_spec(&host, &spec);
    assert_finds(
        &validate(&host),
        &[
            "<host>/etc/cdi/amd.json: stale: /dev/kfd has number 0:0 in the spec and 235:0 on \
             this host",
        ],
    );
}

#[test]
fn a_gpu_that_is_not_in_the_spec_is_named() {
    let Some(host) = host() else { return };
    let mut spec = spec(&host);
    let devices = spec["devices"].as_array_mut().unwrap();
    devices.truncate(2);
    set_spec(&host, &spec);
    assert_finds(
        &validate(&host),
        &["unlisted: GPU 2 (0000:c1:00.0) is in no device of the spec"],
    );
}

#[test]
fn a_name_that_two_files_have_is_named() {
    let Some(host) = host() else { return };
    let mut spec = spec(&host);
    spec["devices"].as_array_mut().unwrap().truncate(1);
    host.file("/etc/cdi/second.json", &spec.to_string());
    assert_finds(
        &validate(&host),
        &[
            "<host>/etc/cdi/second.json: duplicate: amd.com/gpu=0 is in <host>/etc/cdi/amd.json \
             too",
        ],
    );
}

#[test]
fn a_generated_spec_wins_over_one_of_the_administrator() {
    let Some(host) = host() else { return };
    host.file("/var/run/cdi/amd.json", &spec(&host).to_string());
    let run = validate(&host);
    assert_eq!(run.stdout.lines().count(), 2, "{}", run.stdout);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
}

#[test]
fn a_bad_file_of_another_vendor_hides_nothing() {
    let Some(host) = host() else { return };
    host.file("/etc/cdi/aaa.json", "{ torn");
    host.file(
        "/etc/cdi/nvidia.yaml",
        "cdiVersion: 0.3.0\nkind: nvidia.com/gpu\n",
    );
    let run = validate(&host);
    assert!(run.stdout.starts_with("valid: <host>/etc/cdi/amd.json"));
    assert!(
        run.stderr
            .starts_with("warning: <host>/etc/cdi/aaa.json is not JSON: "),
        "{}",
        run.stderr
    );
    assert_eq!(run.code, Some(0));
}

#[test]
fn no_spec_is_a_failure_with_a_hint() {
    let run = validate(&Host::bare());
    assert_eq!(
        run.stderr,
        "error: no CDI spec of amd.com/gpu in /etc/cdi or /var/run/cdi\n\
         hint: `amd-ctk cdi generate` writes one\n"
    );
    assert_eq!(run.code, Some(1));
}

#[test]
fn a_torn_spec_of_ours_is_named_with_a_way_out() {
    let host = Host::bare();
    host.file("/etc/cdi/amd.json", "{\"cdiVersion\": \"0.6.0\", \"kind\"");
    let run = validate(&host);
    assert_eq!(
        run.stderr,
        "warning: <host>/etc/cdi/amd.json is not JSON: EOF while parsing an object at line 1 \
         column 30\n\
         hint: correct it, or remove it if nobody needs it: engines cannot read it either\n\
         error: no CDI spec of amd.com/gpu in /etc/cdi or /var/run/cdi\n\
         hint: correct <host>/etc/cdi/amd.json, or remove it if nobody needs it: `amd-ctk cdi \
         generate` then writes one\n"
    );
    assert_eq!(run.code, Some(1));
}

#[test]
fn a_file_that_is_named_is_checked_whosever_it_is() {
    let host = Host::bare();
    let path = host.path().join("vendor.yaml");
    let check = |text: &str| {
        host.file("/vendor.yaml", text);
        host.amd_ctk(&["cdi", "validate", "--path", path.to_str().unwrap()])
    };
    let valid = "cdiVersion: 0.6.0\nkind: v.com/d\nannotations:\n  a: true\ndevices:\n\
                 - name: x\n  containerEdits:\n    env: [A=b]\n";
    assert_eq!(
        check(valid).stdout,
        "valid: <host>/vendor.yaml (v.com/d, CDI 0.6.0, 1 device)\n"
    );
    let run = check(&valid.replace("env", "environment"));
    assert!(
        run.stdout.contains("containerEdits.environment: "),
        "{}",
        run.stdout
    );
    assert_eq!(run.code, Some(1));
    let hint = "\nhint: correct the file, or remove it if nobody needs it: engines refuse it\n";
    assert!(run.stderr.ends_with(hint), "{}", run.stderr);
    let run = check("kind: [");
    assert!(run.stderr.contains("is not YAML: "), "{}", run.stderr);
    assert_eq!(run.code, Some(1));
}

#[test]
fn what_a_spec_says_does_nothing_to_the_terminal() {
    let host = Host::bare();
    let spec = json!({
        "cdiVersion": "0.6.0", "kind": "v.com/d", "\u{1b}[2J": 1,
        "devices": [{"name": "x", "containerEdits": {"deviceNodes": [{"path": "/dev/\u{1b}[2J"}]}}],
    });
    host.file("/etc/cdi/vendor.json", &spec.to_string());
    let path = host.path().join("etc/cdi/vendor.json");
    let run = host.amd_ctk(&["cdi", "validate", "--path", path.to_str().unwrap()]);
    assert!(
        run.stdout.contains(": invalid: \u{fffd}[2J: "),
        "{}",
        run.stdout
    );
    assert!(!run.stdout.contains('\u{1b}'), "{}", run.stdout);
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let host = Host::bare();
    let pipe = host.path().join("pipe");
    mkfifo(&pipe, Mode::S_IRUSR).unwrap();
    for path in [pipe.to_str().unwrap(), "/dev/zero", "/"] {
        let run = host.amd_ctk(&["cdi", "validate", "--path", path]);
        assert!(
            run.stderr.starts_with("error: cannot read "),
            "{}",
            run.stderr
        );
        assert!(
            run.stderr
                .ends_with(": not a regular file\nhint: name a file that holds a CDI spec\n"),
            "{}",
            run.stderr
        );
        assert_eq!(run.code, Some(1));
    }
}

#[test]
fn a_file_larger_than_any_spec_is_not_read() {
    let host = Host::bare();
    host.file("/etc/cdi/big.json", "");
    let path = host.path().join("etc/cdi/big.json");
    let big = std::fs::File::options().write(true).open(path).unwrap();
    big.set_len(1 << 40).unwrap();
    let run = validate(&host);
    assert!(
        run.stderr.starts_with(
            "warning: cannot read <host>/etc/cdi/big.json: it is larger than 16 MiB\n"
        ),
        "{}",
        run.stderr
    );
}

#[test]
fn json_has_the_documented_shape() {
    let Some(host) = host() else { return };
    let json = |code| {
        let run = host.amd_ctk(&["cdi", "validate", "--format", "json"]);
        assert_eq!(run.code, Some(code), "{}", run.stderr);
        serde_json::from_str::<Value>(&run.stdout).unwrap()
    };
    let specs = json!([{
        "file": "<host>/etc/cdi/amd.json", "kind": "amd.com/gpu", "cdi_version": "0.6.0",
        "devices": 4,
    }]);
    assert_eq!(
        json(0),
        json!({"valid": true, "specs": specs, "findings": []})
    );
    host.remove("/dev/dri/renderD130");
    let message = "/dev/dri/renderD130 is not there, for amd.com/gpu=2, amd.com/gpu=all";
    assert_eq!(
        json(1),
        json!({"valid": false, "specs": specs, "findings": [
            {"file": "<host>/etc/cdi/amd.json", "problem": "missing", "message": message},
        ]})
    );
}
