//! `amd-ctk cdi list`

mod support;

use support::Host;

#[test]
fn names_and_nodes_are_listed_as_the_manual_shows() {
    let host = Host::mixed();
    if !host.make_nodes() {
        return;
    }
    let run = host.amd_ctk(&["cdi", "list"]);
    assert_eq!(
        run.stdout,
        "\
Found 3 AMD GPU devices
amd.com/gpu=all
amd.com/gpu=0
  /dev/dri/card1
  /dev/dri/renderD128
amd.com/gpu=1
  /dev/dri/card2
  /dev/dri/renderD129
amd.com/gpu=2
  /dev/dri/card3
  /dev/dri/renderD130
"
    );
    assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
}

#[test]
fn one_gpu_is_a_device_and_not_devices() {
    let host = Host::mixed();
    if !host.make_nodes() {
        return;
    }
    host.remove("/sys/bus/pci/drivers/amdgpu/0000:05:00.0");
    let run = host.amd_ctk(&["cdi", "list"]);
    assert_eq!(
        run.stdout,
        "\
Found 1 AMD GPU device
amd.com/gpu=all
amd.com/gpu=0
  /dev/dri/card3
  /dev/dri/renderD130
"
    );
}

#[test]
fn a_missing_node_is_an_error_that_names_it() {
    let host = Host::mixed();
    if !host.make_nodes() {
        return;
    }
    host.remove("/dev/kfd");
    let run = host.amd_ctk(&["cdi", "list"]);
    assert_eq!(run.stdout, "");
    assert!(
        run.stderr
            .starts_with("error: cannot stat <host>/dev/kfd, "),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("No such file or directory"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("\nhint: "), "{}", run.stderr);
    assert_eq!(run.code, Some(1));
}

#[test]
fn no_gpu_is_said_with_a_hint_and_is_no_failure() {
    let run = Host::bare().amd_ctk(&["cdi", "list"]);
    assert_eq!(run.stdout, "Found 0 AMD GPU devices\n");
    assert!(
        run.stderr
            .starts_with("warning: no GPU with the amdgpu driver"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("\nhint: "), "{}", run.stderr);
    assert_eq!(run.code, Some(0));
}

#[test]
fn json_has_the_documented_shape() {
    let host = Host::mixed();
    if !host.make_nodes() {
        return;
    }
    host.remove("/sys/bus/pci/drivers/amdgpu/0000:05:00.0");
    let run = host.amd_ctk(&["cdi", "list", "--format", "json"]);
    let nodes = ["/dev/dri/card3", "/dev/dri/renderD130"];
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&run.stdout).unwrap(),
        serde_json::json!({
            "devices": [
                {"name": "amd.com/gpu=all", "nodes": nodes},
                {"name": "amd.com/gpu=0", "nodes": nodes},
            ],
            "specs": [],
        })
    );
}

#[test]
fn yaml_has_the_shape_of_the_json() {
    let run = Host::bare().amd_ctk(&["cdi", "list", "--format", "yaml"]);
    assert_eq!(run.stdout, "devices: []\nspecs: []\n");
}

/// A specs directory with these files, as an argument.
fn spec_dir(host: &Host, files: &[(&str, &str)]) -> String {
    for (name, text) in files {
        host.file(&format!("/specs/{name}"), text);
    }
    host.path().join("specs").display().to_string()
}

const JSON: &str = r#"{"cdiVersion": "0.5.0", "kind": "v.com/d", "devices": [{"name": "0",
    "containerEdits": {"deviceNodes": [{"path": "/dev/v0", "hostPath": "/dev/host0"}]}}]}"#;
const YAML: &str = "cdiVersion: 0.6.0\nkind: w.com/d\nannotations:\n  a: true\n\
                    devices:\n- name: x\n  containerEdits:\n    env: [A=b]\n";

#[test]
fn what_spec_files_offer_is_listed_whosever_they_are() {
    let host = Host::bare();
    let files = [
        ("b.json", JSON),
        ("a.yaml", YAML),
        ("readme.txt", "no spec"),
    ];
    let dir = spec_dir(&host, &files);
    let run = host.amd_ctk(&["cdi", "list", "--spec-dir", &dir]);
    assert_eq!(
        run.stdout,
        "\
Found 0 AMD GPU devices

<host>/specs/a.yaml (CDI 0.6.0)
w.com/d=x

<host>/specs/b.json (CDI 0.5.0)
v.com/d=0
  /dev/host0
"
    );
    assert_eq!(run.code, Some(0));
}

#[test]
fn a_bad_file_is_a_warning_and_does_not_hide_the_rest() {
    let host = Host::bare();
    let unknown = JSON.replace("hostPath", "hostPaths");
    let files = [("a.json", "{ torn"), ("b.json", &unknown), ("c.json", JSON)];
    let dir = spec_dir(&host, &files);
    let run = host.amd_ctk(&["cdi", "list", "--spec-dir", &dir]);
    assert!(
        run.stdout
            .ends_with("\n<host>/specs/c.json (CDI 0.5.0)\nv.com/d=0\n  /dev/host0\n"),
        "{}",
        run.stdout
    );
    for warning in [
        "warning: <host>/specs/a.json is not JSON: ",
        "warning: <host>/specs/b.json is no valid CDI spec: \
         devices[0].containerEdits.deviceNodes[0].hostPaths: ",
    ] {
        assert!(run.stderr.contains(warning), "{}", run.stderr);
    }
    assert_eq!(run.code, Some(0));
}

#[test]
fn a_spec_directory_that_does_not_exist_is_an_error() {
    let run = Host::bare().amd_ctk(&["cdi", "list", "--spec-dir", "/nonexistent"]);
    assert_eq!(
        run.stderr,
        "error: --spec-dir /nonexistent: no such directory\n"
    );
    assert_eq!(run.code, Some(1));
}
