//! `amd-ctk gpu show`

mod support;

use serde_json::Value;
use support::Host;

#[test]
fn all_that_is_known_of_a_gpu_is_shown_a_line_each() {
    let host = Host::mixed();
    if !host.make_nodes() {
        return;
    }
    host.remove("/dev/dri/renderD130");
    let run = host.amd_ctk(&["gpu", "show", "1-2"]);
    assert_eq!(
        run.stdout,
        "\
GPU 1
  CDI name:     amd.com/gpu=1
  UUID:         0xE3AA140F9A5F9E31
  PCI address:  0000:05:00.0
  Partition:    1 (CPX/NPS4)
  Name:         AMD Instinct MI300X OAM
  Device id:    0x74a1
  Memory:       24 GiB
  NUMA node:    1
  KFD:          node 3, GPU id 40135, gfx942
  Node:         /dev/dri/card2
  Node:         /dev/dri/renderD129

GPU 2
  CDI name:     amd.com/gpu=2
  UUID:         -
  PCI address:  0000:c1:00.0
  Partition:    -
  Name:         0x73bf (graphics only)
  Device id:    0x73bf
  Memory:       16 GiB
  NUMA node:    -
  KFD:          -
  Node:         /dev/dri/card3
  Node:         /dev/dri/renderD130 (missing)
"
    );
    assert!(
        run.stderr
            .starts_with("warning: cannot stat <host>/dev/dri/renderD130, "),
        "{}",
        run.stderr
    );
    assert_eq!(run.code, Some(0));
}

#[test]
fn gpus_are_named_as_in_requests() {
    let host = Host::mixed();
    for (words, expected) in [
        (&["0"][..], &[0][..]),
        (&["2,0"], &[0, 2]),
        (&["2", "0-1"], &[0, 1, 2]),
        (&["all"], &[0, 1, 2]),
        (&["GPU-e3aa140f9a5f9e31"], &[0, 1]),
        (&["c1:00.0"], &[2]),
        (&["amd.com/gpu=1"], &[1]),
    ] {
        let run = host.amd_ctk(&[&["gpu", "show", "--format", "json"], words].concat());
        let shown: Value = serde_json::from_str(&run.stdout).unwrap();
        let gpus = shown["gpus"].as_array().unwrap();
        let indices: Vec<u64> = gpus
            .iter()
            .map(|gpu| gpu["index"].as_u64().unwrap())
            .collect();
        assert_eq!(indices, expected, "{words:?}");
    }
}

#[test]
fn json_and_yaml_have_the_shape_of_the_listing() {
    let host = Host::mixed();
    for format in ["json", "yaml"] {
        let show = host.amd_ctk(&["gpu", "show", "all", "--format", format]);
        let list = host.amd_ctk(&["gpu", "list", "--format", format]);
        assert_eq!(show.stdout, list.stdout);
    }
}

#[test]
fn what_names_no_gpu_is_an_error_with_a_hint() {
    let host = Host::mixed();
    for (word, message) in [
        (
            "3",
            "error: \"3\" names no GPU on this host: the last one is 2",
        ),
        (
            "0-",
            "error: \"0-\" names no GPU on this host: the range has no end",
        ),
        ("none", "error: \"none\" asks for no GPU"),
        ("", "error: \"\" asks for no GPU"),
    ] {
        let run = host.amd_ctk(&["gpu", "show", word]);
        assert!(run.stderr.starts_with(message), "{}", run.stderr);
        assert!(run.stderr.contains("\nhint: "), "{}", run.stderr);
        assert_eq!((run.stdout.as_str(), run.code), ("", Some(1)));
    }
}
