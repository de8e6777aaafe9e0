//! Masked and read-only paths, a read-only root, /dev.

use integration::bundle::Bundle;
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use nix::mount::{MsFlags, mount};
use serde_json::json;

use crate::fixture::{MountTable, host, inside, run, with_mount};

#[test]
fn a_read_only_path_keeps_its_other_options() {
    let Some(host) = host() else { return };
    // Programs in it can still be executed.
    let spec = Spec::docker().set(
        "/linux/readonlyPaths",
        json!(["/bin", "/proc/sys", "/none"]),
    );
    let table = MountTable::of(&host, spec);
    assert_eq!(table.at("/bin").options, "ro,relatime");
    assert_eq!(
        table.at("/proc/sys").options,
        "ro,nosuid,nodev,noexec,relatime"
    );
}

#[test]
fn masked_files_are_empty_and_masked_directories_share_one_empty_file_system() {
    let Some(host) = host() else { return };
    let masked = ["/etc/passwd", "/root", "/sys/firmware", "/root/", "/none"];
    let spec = Spec::docker().set("/linux/maskedPaths", json!(masked));
    let table = MountTable::of(&host, spec.clone());
    let (root, firmware) = (table.at("/root"), table.at("/sys/firmware"));
    assert_eq!((&*root.kind, &root.device), ("tmpfs", &firmware.device));
    assert!(root.options.starts_with("ro"), "{root:?}");
    let seen = run(
        &host,
        spec,
        "cat /etc/passwd; ls /root; touch /root/x || echo refused",
    );
    assert_eq!(seen, "refused\n");
}

#[test]
fn dev_can_be_read_only_and_has_its_nodes_nevertheless() {
    let Some(host) = host() else { return };
    let spec = with_mount(Spec::minimal(), "tmpfs", "tmpfs", "/dev", "ro");
    let script = "test -c /dev/null && echo node; touch /dev/x || echo refused";
    assert_eq!(run(&host, spec, script), "node\nrefused\n");
}

#[test]
fn the_containers_cgroups_are_mounted_once_and_read_only() {
    let Some(host) = host() else { return };
    let seen = run(
        &host,
        Spec::docker(),
        "cut -d' ' -f5,6 /proc/self/mountinfo",
    );
    let mut points: Vec<_> = seen
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter(|(point, _)| point.starts_with("/sys/fs/cgroup"))
        .collect();
    // The hierarchies of v1 have a directory around them.
    let least = if require::cgroup_v1() { 2 } else { 1 };
    assert!(points.len() >= least, "{seen}");
    assert!(
        points.iter().all(|(_, flags)| flags.starts_with("ro,")),
        "{seen}"
    );
    points.sort_unstable();
    points.dedup_by_key(|(point, _)| *point);
    let all = seen.matches("/sys/fs/cgroup").count();
    assert_eq!(points.len(), all, "{seen}");
}

#[test]
fn a_standard_stream_that_is_dev_null_is_the_containers_own() {
    let Some(host) = host() else { return };
    let script =
        "readlink /proc/self/fd/0; stat -Lc %d:%i /proc/self/fd/0 /dev/null | uniq | wc -l";
    assert_eq!(run(&host, Spec::docker(), script), "/dev/null\n1\n");
}

#[test]
fn a_root_that_is_read_only_keeps_the_flags_of_its_mount() {
    let Some(host) = host() else { return };
    let bundle = Bundle::new(
        &host,
        "c",
        Spec::docker()
            .set("/root/readonly", json!(true))
            .sh("touch /x || awk '$5 == \"/\" {print $6}' /proc/self/mountinfo"),
    );
    let rootfs = bundle.in_rootfs("");
    inside(&host, || {
        let (none, rootfs) = (None::<&str>, rootfs.as_path());
        mount(Some(rootfs), rootfs, none, MsFlags::MS_BIND, none)?;
        let flags =
            MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_NODEV | MsFlags::MS_NOATIME;
        Ok(mount(none, rootfs, none, flags, none)?)
    });
    let printed = Runtime::under_test(&host).run(&bundle).ok();
    assert_eq!(printed, "ro,nodev,noatime\n");
}
