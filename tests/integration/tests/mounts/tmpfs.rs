//! tmpfs mounts.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use integration::bundle::Bundle;
use integration::runtime::Runtime;
use integration::spec::Spec;

use crate::fixture::{
    MountTable, SOURCE, host, inside, prepare, refused, run, with_bind, with_mount,
};

fn with_tmpfs(spec: Spec, destination: &str, options: &str) -> Spec {
    with_mount(spec, "tmpfs", "tmpfs", destination, options)
}

#[test]
fn its_mode_is_that_of_what_it_covers_unless_the_spec_says_another() {
    let Some(host) = host() else { return };
    let spec = with_tmpfs(Spec::minimal(), "/covers", "");
    let spec = with_tmpfs(spec, "/says", "mode=1500,size=64k");
    let spec = with_tmpfs(spec, "/new/directory", "");
    let script = "stat -c %a /covers /says /new/directory; grep -c ' /says .*size=64k' \
                  /proc/self/mountinfo";
    let bundle = Bundle::new(&host, "c", spec.sh(script));
    prepare(&host, &bundle, |rootfs| {
        for name in ["covers", "says"] {
            fs::create_dir(rootfs.join(name))?;
            fs::set_permissions(rootfs.join(name), Permissions::from_mode(0o710))?;
        }
        Ok(())
    });
    let seen = Runtime::under_test(&host).run(&bundle).ok();
    assert_eq!(seen, "710\n1500\n1777\n1\n");
}

#[test]
fn it_starts_with_what_the_image_has_there_where_that_is_asked_for() {
    let Some(host) = host() else { return };
    let spec = with_tmpfs(Spec::minimal(), "/data", "tmpcopyup");
    let script = "cat /data/sub/file; stat -c %a /data/sub; echo new >/data/sub/file";
    let bundle = Bundle::new(&host, "c", spec.sh(script));
    prepare(&host, &bundle, |rootfs| {
        fs::create_dir_all(rootfs.join("data/sub"))?;
        fs::set_permissions(rootfs.join("data/sub"), Permissions::from_mode(0o777))?;
        fs::write(rootfs.join("data/sub/file"), "of the image\n")
    });
    let seen = Runtime::under_test(&host).run(&bundle).ok();
    assert_eq!(seen, "of the image\n777\n");
    assert_eq!(bundle.read("/data/sub/file").unwrap(), "of the image\n");
}

#[test]
fn a_read_only_one_can_have_mounts_in_it() {
    let Some(host) = host() else { return };
    inside(&host, || fs::create_dir_all(SOURCE));
    let spec = with_tmpfs(Spec::minimal(), "/a", "ro");
    let spec = with_bind(spec, "/a/b", "bind");
    let table = MountTable::of(&host, spec);
    assert!(table.at("/a").options.starts_with("ro"));
    assert!(table.at("/a/b").options.starts_with("rw"));
}

#[test]
fn an_option_that_it_does_not_know_is_named() {
    let Some(host) = host() else { return };
    let message = refused(&host, with_tmpfs(Spec::minimal(), "/a", "size=many"));
    assert!(
        message.contains("error mounting \"tmpfs\" to rootfs at \"/a\"")
            && message.contains("size=many"),
        "{message}"
    );
    assert_eq!(
        run(&host, Spec::minimal(), "echo still works"),
        "still works\n"
    );
}
