//! What mounts and unmounts reach, of the host and of the container.

use std::process::Command;

use integration::bundle::Bundle;
use integration::outcome::Outcome;
use integration::runtime::Runtime;
use integration::spec::Spec;
use nix::mount::{MsFlags, mount};
use serde_json::json;

use crate::fixture::{MountTable, SOURCE, assert_binds, host, inside, tmpfs_at, with_bind};

#[test]
fn a_mount_has_the_propagation_that_the_spec_gives_it() {
    let Some(host) = host() else { return };
    inside(&host, || {
        tmpfs_at(SOURCE, MsFlags::empty())?;
        let none = None::<&str>;
        Ok(mount(none, SOURCE, none, MsFlags::MS_SHARED, none)?)
    });
    let cases = [
        ("bind", "master"),
        ("bind,rprivate", ""),
        ("bind,private", ""),
        ("bind,rslave", "master"),
        ("bind,rshared", "shared,master"),
        ("bind,unbindable", "unbindable"),
    ];
    assert_binds(&host, &cases, |mount| &mount.propagation);
}

#[test]
fn the_root_and_all_below_it_have_the_propagation_of_the_spec() {
    let Some(host) = host() else { return };
    for (name, root, below) in [
        ("", "", ""),
        ("private", "", ""),
        ("rprivate", "", ""),
        ("rslave", "", ""),
        ("shared", "shared", ""),
        ("rshared", "shared", "shared"),
    ] {
        let spec = Spec::docker().set("/linux/rootfsPropagation", json!(name));
        let table = MountTable::of(&host, spec);
        let seen = (
            &*table.at("/").propagation,
            &*table.at("/dev/shm").propagation,
        );
        assert_eq!(seen, (root, below), "{name:?}");
    }
}

#[test]
fn a_container_leaves_no_mount_on_the_host() {
    let Some(host) = host() else { return };
    let mounts = || {
        let mut cat = Command::new("cat");
        Outcome::of(&host, cat.arg("/proc/self/mountinfo"))
            .unwrap()
            .ok()
    };
    inside(&host, || tmpfs_at(SOURCE, MsFlags::empty()));
    let before = mounts();
    let spec = with_bind(Spec::docker(), "/mnt", "rbind,rshared");
    let spec = spec.set("/linux/rootfsPropagation", json!("rshared"));
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", spec.args(&["sleep", "1000"]));
    runtime.up(&bundle);
    assert_eq!(mounts(), before);
    runtime.call(&["delete", "--force", "c"]).ok();
    assert_eq!(mounts(), before);
}
