//! On a host with SELinux (`VM_SELINUX=1 make vm-test`): processes, keys and mounts have the labels
//! of the spec.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use serial_test::serial;

use crate::machine::{ENV, GRANTED, IMAGE, PROBE, RUNTIME, in_vm, ok, run};

const PROCESS: &str = "system_u:system_r:container_t:s0:c1,c2";
const FILES: &str = "system_u:object_r:container_file_t:s0:c1,c2";
/// The container of these tests.
const ID: &str = "labelled";

fn has_selinux() -> bool {
    let is = in_vm() && fs::exists("/sys/fs/selinux/enforce").unwrap();
    if !is {
        println!("skipped: no SELinux (VM_SELINUX=1 make vm-test)");
    }
    is
}

/// A bundle whose program sleeps, with all labels, changed by `change`. Removes the container that
/// it becomes.
struct Bundle(PathBuf);

impl Bundle {
    fn new(change: impl FnOnce(&mut Value)) -> Self {
        let dir = PathBuf::from("/var/lib/selinux-bundle");
        let _ = fs::remove_dir_all(&dir);
        let bin = dir.join("rootfs/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for name in ["cat", "sleep"] {
            std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
        }
        ok(&[RUNTIME, "spec", "--bundle", &dir.to_string_lossy()]);
        let config = dir.join("config.json");
        let mut spec: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        spec["process"]["terminal"] = json!(false);
        spec["process"]["args"] = json!(["sleep", "1000000"]);
        spec["process"]["selinuxLabel"] = json!(PROCESS);
        spec["linux"]["mountLabel"] = json!(FILES);
        change(&mut spec);
        fs::write(&config, spec.to_string()).unwrap();
        Self(dir)
    }

    fn start(&self) -> Result<(), String> {
        let bundle = self.0.to_string_lossy();
        // By way of a file: the container keeps its streams.
        let out = self.0.join("out");
        let command = format!(
            "{RUNTIME} run -d -b {bundle} {ID} </dev/null >{0} 2>&1",
            out.display()
        );
        match run(&["sh", "-c", &command]).status.success() {
            true => Ok(()),
            false => Err(fs::read_to_string(out).unwrap()),
        }
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        run(&[RUNTIME, "delete", "--force", ID]);
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The root directory of the container, as the host sees it.
fn root() -> PathBuf {
    let state: Value = serde_json::from_str(&ok(&[RUNTIME, "state", ID])).unwrap();
    Path::new("/proc")
        .join(state["pid"].to_string())
        .join("root")
}

#[track_caller]
fn label_of_file(path: &str) -> String {
    let path = root().join(path);
    let shown = ok(&["stat", "--format=%C", &path.to_string_lossy()]);
    shown.trim().to_owned()
}

#[track_caller]
fn label_of_exec(options: &[&str]) -> String {
    let words = [
        &[RUNTIME, "exec"],
        options,
        &[ID, "cat", "/proc/self/attr/current"],
    ]
    .concat();
    ok(&words).trim_end_matches('\0').to_owned()
}

#[test]
#[serial]
fn a_process_and_those_that_are_executed_beside_it_have_the_label_of_the_spec() {
    if !has_selinux() {
        return;
    }
    let bundle = Bundle::new(|_| ());
    bundle.start().unwrap();
    let of_init = root().with_file_name("attr").join("current");
    let of_init = fs::read_to_string(of_init).unwrap();
    assert_eq!(of_init.trim_end_matches('\0'), PROCESS);
    assert_eq!(label_of_exec(&[]), PROCESS);
    let other = "system_u:system_r:spc_t:s0";
    assert_eq!(label_of_exec(&["--process-label", other]), other);
}

#[test]
#[serial]
fn new_file_systems_and_what_hides_paths_have_the_label_of_mounts() {
    if !has_selinux() {
        return;
    }
    let bundle = Bundle::new(|_| ());
    bundle.start().unwrap();
    for path in [
        "dev",
        "dev/null",
        "dev/shm",
        "dev/pts",
        "dev/mqueue",
        "proc/kcore",
        "sys/firmware",
    ] {
        assert_eq!(label_of_file(path), FILES, "{path}");
    }
    assert_eq!(label_of_file("proc"), "system_u:object_r:proc_t:s0");
}

#[test]
#[serial]
fn a_label_that_the_policy_does_not_know_is_an_error_and_leaves_no_container() {
    if !has_selinux() {
        return;
    }
    for (pointer, says) in [
        ("/process/selinuxLabel", "label \"nobody:knows:it\""),
        ("/linux/mountLabel", "context=nobody:knows:it"),
    ] {
        let unknown =
            |spec: &mut Value| *spec.pointer_mut(pointer).unwrap() = json!("nobody:knows:it");
        let bundle = Bundle::new(unknown);
        let error = bundle.start().unwrap_err();
        assert!(error.contains(says), "{error}");
        let state = run(&[RUNTIME, "state", ID]);
        assert!(!state.status.success(), "{pointer}: {state:?}");
    }
}

#[test]
#[serial]
fn podman_labels_its_containers_which_have_their_gpu_alone() {
    if !has_selinux() {
        return;
    }
    let probe = format!("cat /proc/self/attr/current; echo; {PROBE}");
    let options = ["--rm", "--network=none", "--cap-add=MKNOD"];
    let words = [
        &["podman", "--runtime", RUNTIME, "run"],
        &options[..],
        &ENV[1..],
        &[IMAGE, "sh", "-c", &probe],
    ]
    .concat();
    let seen = ok(&words).replace('\0', "");
    let (label, opened) = seen.split_once('\n').unwrap();
    assert!(
        label.starts_with("system_u:system_r:container_t:s0:c"),
        "{label}"
    );
    assert_eq!(opened, GRANTED);
}
