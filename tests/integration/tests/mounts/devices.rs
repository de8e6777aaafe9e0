//! Device nodes of the spec.

use integration::spec::Spec;
use serde_json::json;

use crate::fixture::{SOURCE, host, inside, run, with_mount};

#[test]
fn nodes_are_made_anywhere_and_of_two_at_one_path_the_first_stays() {
    let Some(host) = host() else { return };
    let spec = Spec::docker()
        .device("/opt/devices/zero", 1, 5)
        .device("/dev/deep/down", 1, 3)
        .device("/dev/deep/down", 1, 7)
        .device("/dev/ptmx", 5, 2)
        .push(
            "/linux/devices",
            json!({"path": "/dev/fifo", "type": "p", "fileMode": 0o622}),
        );
    let script = "stat -c '%t:%T %a' /opt/devices/zero /dev/deep/down; stat -c '%F %a' /dev/fifo; \
                  stat -c %a /dev/deep; readlink /dev/ptmx; readlink /dev/fd";
    let seen = run(&host, spec, script);
    let expected = "1:5 666\n1:3 666\nfifo 622\n755\npts/ptmx\n/proc/self/fd\n";
    assert_eq!(seen, expected);
}

#[test]
fn nothing_is_made_in_a_dev_that_is_the_hosts() {
    let Some(host) = host() else { return };
    let names = || {
        inside(&host, || {
            let names = std::fs::read_dir("/dev")?.map(|entry| Ok(entry?.file_name()));
            let mut names = names.collect::<std::io::Result<Vec<_>>>()?;
            names.sort();
            Ok(names)
        })
    };
    let before = names();
    let spec = with_mount(Spec::minimal(), "bind", "/dev", "/dev", "rbind");
    assert_eq!(
        run(&host, spec.device("/dev/mine", 1, 3), "ls -d /dev/null"),
        "/dev/null\n"
    );
    assert_eq!(names(), before);
    assert!(!std::path::Path::new(SOURCE).exists());
}

#[test]
fn a_fifo_of_the_spec_is_made_whatever_numbers_it_has() {
    let Some(host) = host() else { return };
    let spec = Spec::docker().push(
        "/linux/devices",
        json!({"path": "/dev/fifo", "type": "p", "major": 8, "minor": 666, "fileMode": 0o640}),
    );
    assert_eq!(run(&host, spec, "stat -c '%F %a' /dev/fifo"), "fifo 640\n");
}
