//! Mounts of containers with a user namespace.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use integration::bundle::Bundle;
use integration::host::SimulatedHost;
use integration::outcome::Outcome;
use integration::runtime::Runtime;
use integration::spec::Spec;
use nix::mount::{MsFlags, mount};
use serde_json::json;

use crate::fixture::{SOURCE, host, inside, prepare, tmpfs_at, with_bind, with_mount};

const FIRST: u32 = 100_000;

fn spec() -> Spec {
    let maps = json!([{"containerID": 0, "hostID": FIRST, "size": 65536}]);
    Spec::docker()
        .push("/linux/namespaces", json!({"type": "user"}))
        .set("/linux/uidMappings", maps.clone())
        .set("/linux/gidMappings", maps)
}

fn run(host: &SimulatedHost, spec: Spec, script: &str) -> Outcome {
    let bundle = Bundle::new(host, "c", spec.sh(script));
    prepare(host, &bundle, |rootfs| own(rootfs, FIRST));
    Runtime::under_test(host).run(&bundle)
}

/// Gives a tree to the container's root.
fn own(path: &Path, id: u32) -> std::io::Result<()> {
    std::os::unix::fs::lchown(path, Some(id), Some(id))?;
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path)? {
            own(&entry?.path(), id)?;
        }
    }
    Ok(())
}

#[test]
fn a_source_can_be_behind_a_directory_that_the_container_may_not_enter() {
    let Some(host) = host() else { return };
    inside(&host, || {
        fs::create_dir_all(format!("{SOURCE}/volume"))?;
        fs::set_permissions(SOURCE, Permissions::from_mode(0o700))?;
        fs::write(format!("{SOURCE}/volume/file"), "text\n")
    });
    let source = format!("{SOURCE}/volume");
    let spec = with_mount(spec(), "bind", &source, "/mnt", "rbind,rprivate");
    assert_eq!(run(&host, spec, "cat /mnt/file").ok(), "text\n");
}

#[test]
fn options_of_the_hosts_mounts_are_locked() {
    let Some(host) = host() else { return };
    inside(&host, || {
        tmpfs_at(SOURCE, MsFlags::MS_NODEV | MsFlags::MS_NOSUID)?;
        let remount = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY;
        let none = None::<&str>;
        mount(
            none,
            SOURCE,
            none,
            remount | MsFlags::MS_NODEV | MsFlags::MS_NOSUID,
            none,
        )?;
        Ok(())
    });
    let volume = with_bind(spec().all_capabilities(), "/mnt", "rbind,noexec");
    let script = "mount -o remount,bind,rw /mnt 2>/dev/null || echo locked; \
                  grep ' /mnt ' /proc/self/mountinfo | cut -d' ' -f6";
    let seen = run(&host, volume, script).ok();
    assert_eq!(seen, "locked\nro,nosuid,nodev,noexec,relatime\n");

    let asks_for_more = with_bind(spec(), "/mnt", "rbind,rw");
    let message = run(&host, asks_for_more, "true").fails(1);
    assert!(
        message.contains("cannot clear locked flags ro"),
        "{message}"
    );
}

#[test]
fn the_usual_device_nodes_are_the_hosts() {
    let Some(host) = host() else { return };
    let script = "test -c /dev/null && echo x >/dev/null && echo written; stat -c %t:%T /dev/zero";
    assert_eq!(run(&host, spec(), script).ok(), "written\n1:5\n");
}

#[test]
fn a_device_of_the_spec_is_made_as_the_spec_has_it() {
    let Some(host) = host() else { return };
    let zero = spec().device("/dev/zero", 7, 7);
    assert_eq!(
        run(&host, zero, "stat -c '%t:%T %u %g' /dev/zero").ok(),
        "7:7 0 0\n"
    );
    let of_another = json!({"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "uid": 70_000});
    let message = run(&host, spec().push("/linux/devices", of_another), "true").fails(1);
    assert!(message.contains("/dev/x"), "{message}");
}

#[test]
fn ids_of_a_mount_can_be_mapped_as_the_containers_are() {
    let Some(host) = host() else { return };
    inside(&host, || {
        tmpfs_at(SOURCE, MsFlags::empty())?;
        fs::write(format!("{SOURCE}/file"), "")?;
        chown(format!("{SOURCE}/file"), Some(1), Some(2))
    });
    let spec = with_bind(spec(), "/mnt", "bind,idmap");
    assert_eq!(run(&host, spec, "stat -c %u:%g /mnt/file").ok(), "1:2\n");
}

/// Bound from the host, as runc and crun have it, it would be `nobody`'s there.
#[test]
fn nodes_of_gpus_have_their_group_and_open_for_a_user_in_it() {
    let Some(host) = host() else { return };
    let script = "stat -c '%t:%T %u %g %a' /dev/kfd /dev/dri/renderD128; id -G; \
                  for node in /dev/kfd /dev/dri/renderD128; do : <$node; done 2>&1 | sed 's/.*: //'";
    let seen = |spec: Spec| {
        let spec = spec
            .env("AMD_VISIBLE_DEVICES=0")
            .set("/process/user", json!({"uid": 1000, "gid": 1000}));
        run(&host, spec, script).ok()
    };
    assert_eq!(seen(spec()), seen(Spec::docker()));
    assert!(
        seen(spec()).ends_with("No such device or address\n"),
        "{}",
        seen(spec())
    );
}
