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
