//! Device nodes of the spec.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use integration::host::SimulatedHost;
use integration::spec::Spec;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;
use serde_json::json;

use crate::fixture::{SOURCE, host, inside, refused, run, with_mount};

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

/// A spec with a terminal, and the host's `source` at /dev.
fn with_terminal(source: &str) -> Spec {
    let spec = with_mount(Spec::minimal(), "bind", source, "/dev", "rbind");
    with_mount(
        spec,
        "devpts",
        "devpts",
        "/dev/pts",
        "newinstance,ptmxmode=0666",
    )
    .set("/process/terminal", json!(true))
}

/// `docker run -it -v /dev:/dev`: /dev/ptmx is the host's there, and no link.
#[test]
fn a_terminal_is_one_of_the_container_where_dev_is_the_hosts() {
    let Some(host) = host() else { return };
    let script = "tty; test /dev/console -ef /dev/pts/0 && echo same";
    let seen = run(&host, with_terminal("/dev"), script);
    assert_eq!(seen.replace('\r', ""), "/dev/pts/0\nsame\n");
}

/// A volume for /dev, with a null device, and what `trap` puts there.
fn volume(host: &SimulatedHost, trap: impl FnOnce(&Path) -> std::io::Result<()> + Send) {
    inside(host, || {
        let _ = fs::remove_dir_all(SOURCE);
        fs::create_dir_all(format!("{SOURCE}/pts"))?;
        let null = format!("{SOURCE}/null");
        mknod(null.as_str(), SFlag::S_IFCHR, Mode::all(), makedev(1, 3))?;
        trap(Path::new(SOURCE))
    });
}

#[test]
fn what_a_volume_has_at_dev_console_is_covered_and_not_opened() {
    let Some(host) = host() else { return };
    let (tty, console) = ("/dev/pts/0\n", "/dev/console");
    volume(&host, |dev| Ok(mkfifo(&dev.join("console"), Mode::all())?));
    let seen = run(&host, with_terminal(SOURCE), "tty");
    assert_eq!(seen.replace('\r', ""), tty);

    volume(&host, |dev| symlink("/etc/made", dev.join("console")));
    let message = refused(&host, with_terminal(SOURCE));
    assert!(message.contains(console), "{message}");
    volume(&host, |dev| fs::create_dir(dev.join("console")));
    let message = refused(&host, with_terminal(SOURCE));
    assert!(message.contains(console), "{message}");
}

#[test]
fn a_dev_null_that_is_none_is_refused_and_not_waited_for() {
    let Some(host) = host() else { return };
    let traps: [fn(&Path) -> std::io::Result<()>; 4] = [
        |null| Ok(mkfifo(null, Mode::all())?),
        |null| fs::write(null, ""),
        |null| symlink("/etc/passwd", null),
        |null| Ok(mknod(null, SFlag::S_IFCHR, Mode::all(), makedev(1, 5))?),
    ];
    for trap in traps {
        volume(&host, |dev| {
            fs::remove_file(dev.join("null"))?;
            trap(&dev.join("null"))
        });
        let spec = with_mount(Spec::minimal(), "bind", SOURCE, "/dev", "rbind");
        let message = refused(&host, spec);
        assert!(message.contains("/dev/null is invalid"), "{message}");
    }
}
