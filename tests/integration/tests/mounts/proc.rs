//! /proc and /sys: nothing covers them that is none, and nothing misleads them.

use std::fs;
use std::os::unix::fs::symlink;

use integration::bundle::Bundle;
use integration::runtime::Runtime;
use integration::spec::Spec;
use serde_json::json;

use crate::fixture::{SOURCE, host, inside, prepare, refused, run, with_bind, with_mount};

/// Volumes and other file systems: libcontainer looks at mounts of type proc and sysfs alone.
#[test]
fn nothing_else_is_mounted_on_proc_or_in_it() {
    let Some(host) = host() else { return };
    inside(&host, || fs::create_dir_all(SOURCE));
    let tmpfs = |at| with_mount(Spec::docker(), "tmpfs", "tmpfs", at, "");
    for (spec, says) in [
        (
            with_bind(Spec::docker(), "/proc", "bind"),
            "not of type proc",
        ),
        (
            with_bind(Spec::docker(), "/proc/sys/kernel", "bind"),
            "inside /proc",
        ),
        (
            with_bind(Spec::docker(), "/x/../proc", "bind"),
            "not of type proc",
        ),
        (tmpfs("/proc"), "not of type proc"),
        (tmpfs("/proc/irq"), "inside /proc"),
        (
            with_mount(Spec::docker(), "proc", "proc", "/proc/bus", ""),
            "inside /proc",
        ),
    ] {
        let message = refused(&host, spec.clone());
        assert!(
            message.contains(says),
            "{}: {message}",
            spec.json()["mounts"]
        );
    }
}

#[test]
fn nor_by_way_of_a_link_of_the_image() {
    let Some(host) = host() else { return };
    inside(&host, || fs::create_dir_all(SOURCE));
    let bundle = Bundle::new(
        &host,
        "c",
        with_bind(Spec::docker(), "/data/kernel", "bind"),
    );
    prepare(&host, &bundle, |rootfs| {
        symlink("/proc/sys", rootfs.join("data"))
    });
    let message = Runtime::under_test(&host).run(&bundle).fails(1);
    assert!(message.contains("inside /proc"), "{message}");
}

#[test]
fn files_that_lxcfs_replaces_can_be_replaced() {
    let Some(host) = host() else { return };
    inside(&host, || {
        fs::create_dir_all(SOURCE)?;
        fs::write(format!("{SOURCE}/uptime"), "1 1\n")
    });
    let source = format!("{SOURCE}/uptime");
    let spec = with_mount(Spec::docker(), "bind", &source, "/proc/uptime", "bind");
    assert_eq!(run(&host, spec, "cat /proc/uptime"), "1 1\n");
}

/// CVE-2019-19921, CVE-2023-27561.
#[test]
fn proc_and_sys_go_on_ordinary_directories() {
    let Some(host) = host() else { return };
    for name in ["proc", "sys"] {
        let bundle = Bundle::new(&host, "c", Spec::docker());
        prepare(&host, &bundle, |rootfs| {
            fs::remove_dir(rootfs.join(name))?;
            symlink("/tmp", rootfs.join(name))
        });
        let message = Runtime::under_test(&host).run(&bundle).fails(1);
        assert!(
            message.contains("must be mounted on ordinary directory"),
            "{message}"
        );
    }
}

#[test]
fn kernel_parameters_are_written_and_one_that_is_not_there_is_named() {
    let Some(host) = host() else { return };
    let with = |key: &str, value: &str| Spec::docker().set("/linux/sysctl", json!({key: value}));
    let spec = with("net.ipv4.ip_forward", "1");
    assert_eq!(run(&host, spec, "cat /proc/sys/net/ipv4/ip_forward"), "1\n");
    let message = refused(&host, with("net.ipv4.no_such", "1"));
    assert!(message.contains("net.ipv4.no_such"), "{message}");
}

#[test]
fn a_kernel_parameter_of_the_hosts_network_is_refused_however_the_spec_names_that() {
    let Some(host) = host() else { return };
    let read = || std::fs::read_to_string("/proc/sys/net/ipv4/ip_default_ttl");
    let before = inside(&host, read);
    for path in [None, Some("/proc/self/ns/net"), Some("/proc/1/ns/net")] {
        let mut spec =
            Spec::docker().set("/linux/sysctl", json!({"net.ipv4.ip_default_ttl": "77"}));
        let mut namespaces = spec.json()["linux"]["namespaces"].clone();
        let listed = namespaces.as_array_mut().unwrap();
        listed.retain(|namespace| namespace["type"] != "network");
        listed.extend(path.map(|path| json!({"type": "network", "path": path})));
        spec = spec.set("/linux/namespaces", namespaces);
        let message = refused(&host, spec);
        let words = "sysctl \"net.ipv4.ip_default_ttl\" not allowed in host network namespace";
        assert!(message.contains(words), "{path:?}: {message}");
        assert_eq!(inside(&host, read), before, "{path:?}");
    }
}
