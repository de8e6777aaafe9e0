//! What `amd-ctk system` sets up, by the systemd and the udev that are to follow it.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serial_test::serial;

use super::machine::{in_vm, ok};

const SPEC: &str = "/etc/cdi/amd.json";

/// With a network namespace of its own the service has a /sys of its own, too, in which there are no
/// simulated GPUs.
const WITH_SIMULATED_GPUS: &str = "[Service]\nPrivateNetwork=no\n";
const DROP_IN: &str = "/run/systemd/system/amd-cdi-refresh.service.d";

/// The refresh, enabled until it is dropped.
struct Refresh;

impl Refresh {
    fn enable() -> Self {
        fs::create_dir_all(DROP_IN).unwrap();
        fs::write(format!("{DROP_IN}/simulated.conf"), WITH_SIMULATED_GPUS).unwrap();
        ok(&["systemctl", "daemon-reload"]);
        ok(&["amd-ctk", "system", "cdi-refresh"]);
        Self
    }
}

impl Drop for Refresh {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(DROP_IN);
        ok(&["amd-ctk", "system", "cdi-refresh", "--remove"]);
    }
}

#[track_caller]
fn is_written(when: &str) {
    let begin = Instant::now();
    while fs::read(SPEC).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{when}");
        sleep(Duration::from_millis(200));
    }
}

#[test]
#[serial]
fn the_cdi_spec_is_written_when_the_refresh_is_enabled_and_when_a_gpu_comes() {
    if !in_vm() {
        return;
    }
    let before = fs::read(SPEC).unwrap();
    fs::remove_file(SPEC).unwrap();
    let _refresh = Refresh::enable();
    is_written("once it is enabled");
    assert_eq!(fs::read(SPEC).unwrap(), before);

    fs::remove_file(SPEC).unwrap();
    // The render node of one of the GPUs goes and comes.
    ok(&["modprobe", "-r", "vgem"]);
    ok(&["modprobe", "vgem"]);
    is_written("after the event");
    ok(&["udevadm", "settle"]);
    ok(&["amd-ctk", "cdi", "validate"]);
}
