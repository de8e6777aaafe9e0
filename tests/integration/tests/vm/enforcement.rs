//! What keeps a container from devices under the systemd driver: our program, and systemd's list.
//! Where both are switched off by hand the node of another GPU opens, and the probe of the other
//! tests says so: they can fail.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serial_test::serial;

use super::machine::{ENV, GRANTED, Running, in_vm, ok};

/// Detaches the device programs of a cgroup that have this name, by bpf(2), and prints how many.
const DETACH: &str = r#"
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
DETACH, FD_BY_ID, INFO, QUERY = 9, 13, 15, 16
DEVICE = 6
def bpf(command, attr):
    done = libc.syscall(321, command, attr, len(attr))
    if done < 0:
        raise OSError(ctypes.get_errno(), f"bpf {command}")
    return done
group = os.open(sys.argv[1], os.O_RDONLY)
ids = (ctypes.c_uint * 64)()
query = ctypes.create_string_buffer(struct.pack("IIIIQII", group, DEVICE, 0, 0, ctypes.addressof(ids), 64, 0), 32)
bpf(QUERY, query)
detached = 0
for number in ids[: struct.unpack_from("I", query, 24)[0]]:
    program = bpf(FD_BY_ID, ctypes.create_string_buffer(struct.pack("III", number, 0, 0), 12))
    info = ctypes.create_string_buffer(256)
    bpf(INFO, ctypes.create_string_buffer(struct.pack("IIQ", program, 256, ctypes.addressof(info)), 16))
    if info.raw[64:80].rstrip(b"\0").decode() == sys.argv[2]:
        bpf(DETACH, ctypes.create_string_buffer(struct.pack("IIII", group, program, DEVICE, 0), 16))
        detached += 1
print(detached)
"#;

#[track_caller]
fn detach(container: &Running, program: &str) -> String {
    let script = "/root/detach.py";
    fs::write(script, DETACH).unwrap();
    fs::set_permissions(script, PermissionsExt::from_mode(0o600)).unwrap();
    ok(&["python3", script, &container.cgroup(), program])
}

#[test]
#[serial]
fn systemds_list_denies_by_itself_and_with_both_switched_off_the_probe_tells() {
    if !in_vm() {
        return;
    }
    let container = Running::start("broken", &ENV);
    assert_eq!(detach(&container, "amd_devices"), "1\n");
    container.has_its_gpu_alone("by systemd's list");
    let unit = container.unit();
    let set = ["systemctl", "set-property", "--runtime", &unit];
    ok(&[&set[..], &["DevicePolicy=auto", "DeviceAllow="]].concat());
    let all = GRANTED.replace("made closed", "made open");
    assert_eq!(container.seen(), format!("{all}ioctl answers\n"));
}

#[test]
#[serial]
fn our_program_denies_by_itself() {
    if !in_vm() {
        return;
    }
    let container = Running::start("listless", &ENV);
    let unit = container.unit();
    let set = ["systemctl", "set-property", "--runtime", &unit];
    ok(&[&set[..], &["DevicePolicy=auto", "DeviceAllow="]].concat());
    container.has_its_gpu_alone("by our program");
    assert_eq!(detach(&container, "amd_devices"), "1\n");
    assert!(container.seen().contains("made open"));
}
