//! `amd-ctk gpu list`

mod support;

use std::process::Stdio;

use serde_json::Value;
use support::{Host, program};

#[test]
fn the_table_has_a_line_a_gpu_in_order() {
    let host = Host::mixed();
    if !host.make_nodes() {
        return;
    }
    let run = host.amd_ctk(&["gpu", "list"]);
    assert_eq!(
        run.stdout,
        "\
GPU  UUID                PCI ADDRESS   PARTITION     NAME                     MEMORY  NODES                               NUMA
0    0xE3AA140F9A5F9E31  0000:05:00.0  0 (CPX/NPS4)  AMD Instinct MI300X OAM  24 GiB  /dev/dri/card1 /dev/dri/renderD128  1
1    0xE3AA140F9A5F9E31  0000:05:00.0  1 (CPX/NPS4)  AMD Instinct MI300X OAM  24 GiB  /dev/dri/card2 /dev/dri/renderD129  1
2    -                   0000:c1:00.0  -             0x73bf (graphics only)   16 GiB  /dev/dri/card3 /dev/dri/renderD130  -
"
    );
    assert_eq!((run.stderr.as_str(), run.code), ("", Some(0)));
}

#[test]
fn a_missing_node_is_marked_and_said_but_no_failure() {
    let host = Host::mixed();
    if !host.make_nodes() {
        return;
    }
    host.remove("/dev/dri/renderD129");
    let run = host.amd_ctk(&["gpu", "list"]);
    let lines: Vec<_> = run.stdout.lines().collect();
    assert!(
        lines[2].contains("/dev/dri/card2 /dev/dri/renderD129 (missing)"),
        "{}",
        run.stdout
    );
    assert_eq!(run.stdout.matches("(missing)").count(), 1, "{}", run.stdout);
    assert!(
        run.stderr
            .starts_with("warning: cannot stat <host>/dev/dri/renderD129, "),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("\nhint: "), "{}", run.stderr);
    assert_eq!(run.code, Some(0));
}

#[test]
fn a_file_in_the_place_of_a_node_is_no_node() {
    let host = Host::mixed();
    if !host.make_nodes() {
        return;
    }
    host.remove("/dev/dri/card3");
    host.file("/dev/dri/card3", "");
    let run = host.amd_ctk(&["gpu", "list"]);
    assert!(
        run.stdout.contains("/dev/dri/card3 (missing)"),
        "{}",
        run.stdout
    );
    assert!(
        run.stderr
            .contains("<host>/dev/dri/card3 is not a character device"),
        "{}",
        run.stderr
    );
}

#[test]
fn json_has_the_documented_shape() {
    let host = Host::mixed();
    if !host.make_nodes() {
        return;
    }
    host.remove("/dev/dri/renderD129");
    let run = host.amd_ctk(&["gpu", "list", "--format", "json"]);
    let listing: Value = serde_json::from_str(&run.stdout).unwrap();
    let expected = serde_json::json!({
        "gpus": [
            {
                "index": 0,
                "cdi_name": "amd.com/gpu=0",
                "uuid": "0xE3AA140F9A5F9E31",
                "pci_address": "0000:05:00.0",
                "partition": { "index": 0, "compute_mode": "CPX", "memory_mode": "NPS4" },
                "name": "AMD Instinct MI300X OAM",
                "device_id": "0x74a1",
                "memory_bytes": 25769803776_u64,
                "nodes": [
                    { "path": "/dev/dri/card1", "present": true },
                    { "path": "/dev/dri/renderD128", "present": true },
                ],
                "numa_node": 1,
                "graphics_only": false,
                "compute": { "node_id": 2, "gpu_id": 40134, "gfx": "gfx942" },
            },
            {
                "index": 1,
                "cdi_name": "amd.com/gpu=1",
                "uuid": "0xE3AA140F9A5F9E31",
                "pci_address": "0000:05:00.0",
                "partition": { "index": 1, "compute_mode": "CPX", "memory_mode": "NPS4" },
                "name": "AMD Instinct MI300X OAM",
                "device_id": "0x74a1",
                "memory_bytes": 25769803776_u64,
                "nodes": [
                    { "path": "/dev/dri/card2", "present": true },
                    { "path": "/dev/dri/renderD129", "present": false },
                ],
                "numa_node": 1,
                "graphics_only": false,
                "compute": { "node_id": 3, "gpu_id": 40135, "gfx": "gfx942" },
            },
            {
                "index": 2,
                "cdi_name": "amd.com/gpu=2",
                "uuid": null,
                "pci_address": "0000:c1:00.0",
                "partition": null,
                "name": null,
                "device_id": "0x73bf",
                "memory_bytes": 17163091968_u64,
                "nodes": [
                    { "path": "/dev/dri/card3", "present": true },
                    { "path": "/dev/dri/renderD130", "present": true },
                ],
                "numa_node": null,
                "graphics_only": true,
                "compute": null,
            },
        ],
    });
    assert_eq!(listing, expected, "{}", run.stdout);
    let keys = |value: &Value| {
        value
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        keys(&listing["gpus"][0]),
        keys(&expected["gpus"][0]),
        "the order of keys"
    );
}

#[test]
fn yaml_has_the_shape_of_the_json() {
    let host = Host::mixed();
    let run = host.amd_ctk(&["gpu", "list", "--format", "yaml"]);
    assert!(
        run.stdout.starts_with(
            "\
gpus:
- index: 0
  cdi_name: amd.com/gpu=0
  uuid: \"0xE3AA140F9A5F9E31\"
  pci_address: \"0000:05:00.0\"
  partition:
    index: 0
    compute_mode: CPX
    memory_mode: NPS4
  name: AMD Instinct MI300X OAM
  device_id: \"0x74a1\"
  memory_bytes: 25769803776
  nodes:
  - path: /dev/dri/card1
    present: false
"
        ),
        "{}",
        run.stdout
    );
}

#[test]
fn no_gpu_is_said_with_a_hint_and_is_no_failure() {
    let host = Host::bare();
    let run = host.amd_ctk(&["gpu", "list"]);
    assert_eq!(run.stdout, "");
    assert_eq!(
        run.stderr,
        "warning: no GPU with the amdgpu driver on this host\n\
         hint: `lspci -d 1002:` lists the AMD devices there are, `modprobe amdgpu` loads the driver\n"
    );
    assert_eq!(run.code, Some(0));

    let json = host.amd_ctk(&["gpu", "list", "--format", "json"]);
    assert_eq!(json.stdout, "{\n  \"gpus\": []\n}\n");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let host = Host::mixed();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = program()
        .arg("--host-root")
        .arg(host.path())
        .args(["gpu", "list", "--format", "json"])
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
        .wait_with_output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let complaint = stderr
        .lines()
        .find(|line| line.starts_with("error") || line.contains("panic"));
    assert_eq!(complaint, None);
}

#[test]
fn a_full_disk_is_a_failure() {
    let host = Host::mixed();
    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let output = program()
        .arg("--host-root")
        .arg(host.path())
        .args(["gpu", "list"])
        .stdout(full)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("error: No space left on device"),
        "{stderr}"
    );
}

#[test]
fn what_a_board_says_of_itself_does_nothing_to_the_terminal() {
    let host = Host::mixed();
    let board = "/sys/devices/pci0000:00/0000:05:00.0";
    host.file(&format!("{board}/product_name"), "MI\u{1b}[2J300X\n");
    host.file(
        &format!("{board}/current_compute_partition"),
        "C\u{1b}[2JPX\n",
    );
    for words in [&["gpu", "list"][..], &["gpu", "show", "all"]] {
        let run = host.amd_ctk(words);
        assert!(run.stdout.contains("MI\u{fffd}[2J300X"), "{}", run.stdout);
        assert!(!run.stdout.contains('\u{1b}'), "{}", run.stdout);
    }
    let listing: Value =
        serde_json::from_str(&host.amd_ctk(&["gpu", "list", "--format", "json"]).stdout).unwrap();
    assert_eq!(
        listing["gpus"][0]["name"], "MI\u{1b}[2J300X",
        "for programs it is as it is"
    );
}
