//! Options of bind mounts.

use std::fs;

use integration::spec::Spec;
use nix::mount::MsFlags;

use crate::fixture::{
    MountTable, SOURCE, assert_binds, host, inside, run, tmpfs_at, with_bind, with_mount,
};

#[test]
fn a_bind_mount_has_the_options_that_the_spec_gives_it() {
    let Some(host) = host() else { return };
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOATIME;
    inside(&host, || tmpfs_at(SOURCE, flags));
    let cases = [
        // Nothing said: as its source is.
        ("bind", "rw,nosuid,nodev,noatime"),
        // What is not asked for is taken away; access times stay.
        ("bind,ro", "ro,noatime"),
        ("bind,rw", "rw,noatime"),
        ("bind,dev,exec,suid", "rw,noatime"),
        ("bind,ro,nosuid,noexec", "ro,nosuid,noexec,noatime"),
        ("bind,ro,rw", "rw,noatime"),
        // Access times are one value.
        ("bind,relatime", "rw,relatime"),
        ("bind,strictatime", "rw"),
        ("bind,nodiratime", "rw,nodiratime,relatime"),
        ("bind,rnoexec", "rw,nosuid,nodev,noexec,noatime"),
        ("bind,rrelatime", "rw,nosuid,nodev,relatime"),
    ];
    assert_binds(&host, &cases, |mount| &mount.options);
}

#[test]
fn ro_is_for_the_mount_and_rro_for_all_below_it() {
    let Some(host) = host() else { return };
    inside(&host, || {
        tmpfs_at(SOURCE, MsFlags::empty())?;
        tmpfs_at(&format!("{SOURCE}/below"), MsFlags::empty())
    });
    let spec = with_bind(Spec::minimal(), "/ro", "rbind,ro");
    let spec = with_bind(spec, "/rro", "rbind,rro");
    let spec = with_bind(spec, "/alone", "bind");
    let table = MountTable::of(&host, spec.clone());
    let options = |point| table.at(point).options.split(',').next().map(str::to_owned);
    assert_eq!(options("/ro").as_deref(), Some("ro"));
    assert_eq!(options("/ro/below").as_deref(), Some("rw"));
    assert_eq!(options("/rro").as_deref(), Some("ro"));
    assert_eq!(options("/rro/below").as_deref(), Some("ro"));
    let below = run(
        &host,
        spec,
        "grep -c ' /alone/below ' /proc/self/mountinfo || true",
    );
    assert_eq!(below.trim(), "0");
}

#[test]
fn a_source_can_be_relative_to_the_bundle_and_a_path_of_the_container() {
    let Some(host) = host() else { return };
    inside(&host, || {
        fs::create_dir_all(format!("{SOURCE}/part"))?;
        fs::write(format!("{SOURCE}/part/file"), "from the host")
    });
    let spec = with_bind(Spec::minimal(), "/first", "rbind");
    let in_container = "/run/bundles/c/rootfs/first/part";
    let spec = with_mount(spec, "bind", in_container, "/second", "rbind");
    let spec = with_mount(spec, "bind", "config.json", "/config", "bind");
    let script = "cat /second/file; grep -q ociVersion /config && echo , and the spec";
    let seen = run(&host, spec, script);
    assert_eq!(seen, "from the host, and the spec\n");
}

#[test]
fn ids_of_a_mount_are_mapped() {
    let Some(host) = host() else { return };
    inside(&host, || {
        tmpfs_at(SOURCE, MsFlags::empty())?;
        fs::write(format!("{SOURCE}/file"), "")?;
        std::os::unix::fs::chown(format!("{SOURCE}/file"), Some(1), Some(2))
    });
    let maps = serde_json::json!([{"containerID": 0, "hostID": 100_000, "size": 1000}]);
    let spec = Spec::minimal().push(
        "/mounts",
        serde_json::json!({
            "source": SOURCE, "destination": "/mnt", "options": ["bind"],
            "uidMappings": maps, "gidMappings": maps,
        }),
    );
    let seen = run(&host, spec, "stat -c %u:%g /mnt/file");
    assert_eq!(seen, "100001:100002\n");
}
