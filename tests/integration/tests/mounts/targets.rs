//! Where mounts go: what is missing is made, and no link leads out of the container.

use std::fs;
use std::os::unix::fs::symlink;

use integration::bundle::Bundle;
use integration::runtime::Runtime;
use integration::spec::Spec;
use serde_json::json;

use crate::fixture::{SOURCE, host, inside, prepare, refused, run, with_bind, with_mount};

#[test]
fn mount_points_that_are_missing_are_made_as_the_source_is() {
    let Some(host) = host() else { return };
    inside(&host, || {
        fs::create_dir_all(SOURCE)?;
        fs::write(format!("{SOURCE}/file"), "text\n")
    });
    let spec = with_bind(Spec::minimal(), "/a/directory", "bind");
    let spec = with_mount(spec, "bind", &format!("{SOURCE}/file"), "/b/c/file", "bind");
    let script = "cat /a/directory/file /b/c/file; stat -c %a /a /b/c";
    assert_eq!(run(&host, spec, script), "text\ntext\n755\n755\n");
}

#[test]
fn links_are_followed_within_the_container() {
    let Some(host) = host() else { return };
    inside(&host, || {
        fs::create_dir_all(SOURCE)?;
        fs::create_dir_all("/run/victim")?;
        fs::write(format!("{SOURCE}/file"), "text\n")
    });
    let file = format!("{SOURCE}/file");
    let spec = with_mount(Spec::minimal(), "bind", &file, "/dangles", "bind");
    let spec = with_mount(spec, "bind", &file, "/jump/file", "bind");
    let spec = with_mount(spec, "bind", &file, "/up/file", "bind");
    let bundle = Bundle::new(
        &host,
        "c",
        spec.sh("cat /tmp/target /run/victim/made/file /run/victim/file"),
    );
    prepare(&host, &bundle, |rootfs| {
        symlink("/tmp/target", rootfs.join("dangles"))?;
        symlink("/run/victim/made", rootfs.join("jump"))?;
        symlink("../../../../../../run/victim", rootfs.join("up"))
    });
    let seen = Runtime::under_test(&host).run(&bundle).ok();
    assert_eq!(seen, "text\ntext\ntext\n");
    let left = inside(&host, || Ok(fs::read_dir("/run/victim")?.count()));
    assert_eq!(left, 0, "something was made on the host");
}

#[test]
fn nothing_is_mounted_on_the_root_itself() {
    let Some(host) = host() else { return };
    inside(&host, || fs::create_dir_all(SOURCE));
    let message = refused(&host, with_bind(Spec::minimal(), "/a/..", "bind"));
    assert!(message.contains("on the top of rootfs"), "{message}");
}

#[test]
fn a_source_that_is_missing_is_named() {
    let Some(host) = host() else { return };
    let spec = with_mount(Spec::minimal(), "bind", "/no/such", "/mnt", "bind");
    let message = refused(&host, spec);
    assert!(
        message.contains("error mounting \"/no/such\" to rootfs at \"/mnt\"")
            && message.contains("No such file or directory"),
        "{message}"
    );
}

#[test]
fn a_working_directory_that_is_missing_is_made() {
    let Some(host) = host() else { return };
    inside(&host, || fs::create_dir_all(SOURCE));
    let spec = with_bind(Spec::minimal(), "/work", "bind");
    let spec = spec.set("/process/cwd", json!("/work/of/today"));
    assert_eq!(
        run(&host, spec, "pwd; stat -c %a ."),
        "/work/of/today\n755\n"
    );
    let made = format!("{SOURCE}/of/today");
    assert!(inside(&host, || fs::exists(&made)));
}

#[test]
fn hooks_in_the_container_see_its_mounts() {
    let Some(host) = host() else { return };
    inside(&host, || fs::create_dir_all(SOURCE));
    let script = "grep /rootfs/mnt /proc/self/mountinfo >/run/bundles/seen";
    let spec = with_bind(Spec::docker(), "/mnt", "bind");
    let spec = spec.hook("createContainer", "/bin/sh", &["sh", "-c", script]);
    run(&host, spec, "true");
    assert!(inside(&host, || fs::read_to_string("/run/bundles/seen")).contains("/rootfs/mnt"));
}
