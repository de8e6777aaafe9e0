use serde_json::{Value, json};

use super::*;

fn plan(more: Value) -> Result<Plan, SpecError> {
    let mut spec = json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "process": {"cwd": "/work", "user": {"uid": 0, "gid": 0}, "args": ["sh"]},
    });
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let spec: Spec = serde_json::from_value(spec).unwrap();
    Plan::of(&spec, Path::new("/b/rootfs"), Path::new("/b"))
}

fn mount(mount: Value) -> Result<PlannedMount, SpecError> {
    plan(json!({"mounts": [mount]})).map(|plan| plan.mounts[0].clone())
}

#[test]
fn a_bind_mount_is_one_by_its_options_and_relative_to_the_bundle() {
    let bind = mount(json!({
        "destination": "/x", "type": "none", "source": "data", "options": ["rbind"],
    }));
    let bind = bind.unwrap();
    assert_eq!((bind.kind, bind.source), (Kind::Bind, "/b/data".into()));
}

#[test]
fn what_no_mount_can_be_is_refused_with_runcs_words() {
    let maps = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    for (of, says) in [
        (
            json!({"destination": "/x", "source": "/y", "options": ["bind", "size=1"]}),
            "filesystem-specific",
        ),
        (
            json!({"destination": "/x", "source": "/y", "options": ["bind", "idmap"]}),
            "both uid and gid mappings",
        ),
        (
            json!({"destination": "/x", "source": "/y", "options": ["bind"],
                "uidMappings": maps}),
            "both uid and gid mappings",
        ),
        (
            json!({"destination": "/x", "type": "tmpfs", "uidMappings": maps,
                "gidMappings": maps}),
            "only supported for bind-mounts",
        ),
        (
            json!({"destination": "/x", "type": "tmpfs", "options": ["remount"]}),
            "remount",
        ),
    ] {
        let message = mount(of).unwrap_err().to_string();
        assert!(
            message.contains(says) && message.contains("/x"),
            "{message}"
        );
    }
}

#[test]
fn ids_are_mapped_as_the_mount_says_or_as_the_container_does() {
    let maps = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
    let own = mount(json!({
        "destination": "/x", "source": "/y", "options": ["bind", "ridmap"],
        "uidMappings": maps, "gidMappings": maps,
    }));
    let lines = Some(("0 1000 1\n".to_owned(), "0 1000 1\n".to_owned()));
    let expected = IdMap {
        recursive: true,
        lines,
    };
    assert_eq!(own.unwrap().id_map, Some(expected));

    let implied = plan(json!({
        "mounts": [{"destination": "/x", "source": "/y", "options": ["bind", "idmap"]}],
        "linux": {"namespaces": [{"type": "user"}]},
    }));
    let expected = IdMap {
        recursive: false,
        lines: None,
    };
    assert_eq!(implied.unwrap().mounts[0].id_map, Some(expected));
}

#[test]
fn the_node_of_a_gpu_is_planned_as_if_the_spec_had_it() {
    let node = DeviceNode {
        path: "/dev/dri/renderD128".into(),
        major: 226,
        minor: 128,
        mode: 0o660,
        uid: 1,
        gid: 109,
    };
    let of_spec = json!([{"path": node.path, "type": "c", "major": 226, "minor": 128,
        "fileMode": 0o660, "uid": 1, "gid": 109}]);
    let plan = plan(json!({"linux": {"devices": of_spec}})).unwrap();
    assert_eq!(plan.devices.unwrap().pop(), Some(Device::granted(&node)));
}

#[test]
fn devices_of_the_spec_go_before_the_usual_ones() {
    let plan = plan(json!({"linux": {"devices": [
        {"path": "/dev/null", "type": "c", "major": 7, "minor": 8, "fileMode": 0o600, "uid": 5},
        {"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2},
        {"path": "/run/fifo", "type": "p"},
    ]}}));
    let devices = plan.unwrap().devices.unwrap();
    let paths: Vec<_> = devices.iter().map(|d| d.path.to_str().unwrap()).collect();
    assert_eq!(
        paths,
        [
            "/dev/random",
            "/dev/full",
            "/dev/tty",
            "/dev/zero",
            "/dev/urandom",
            "/dev/null",
            "/run/fifo"
        ]
    );
    let null = &devices[5];
    assert_eq!(
        (null.mode, null.major, null.uid),
        (libc::S_IFCHR | 0o600, 7, 5)
    );
    assert_eq!(devices[6].mode, libc::S_IFIFO | 0o666);
}

#[test]
fn nothing_is_made_in_a_dev_that_is_anothers() {
    let bound = |destination: &str| {
        let mount = json!({"destination": destination, "source": "/dev", "options": ["rbind"]});
        plan(json!({"mounts": [mount]})).unwrap().devices.is_none()
    };
    assert!(bound("/dev") && bound("/dev/") && bound("dev/../dev"));
    assert!(!bound("/dev/shm"));
}

#[test]
fn a_tmpfs_and_dev_become_read_only_late() {
    let late = |destination: &str, kind: &str, option: &str| {
        let of = json!({"destination": destination, "type": kind, "options": [option]});
        mount(of).unwrap().is_read_only_late()
    };
    assert!(late("/mnt", "tmpfs", "ro") && late("/dev/", "devtmpfs", "ro"));
    assert!(!late("/mnt", "tmpfs", "rw") && !late("/sys", "sysfs", "ro"));
}

#[test]
fn the_propagation_of_the_root_is_a_known_one() {
    let of = |name: &str| plan(json!({"linux": {"rootfsPropagation": name}}));
    assert_eq!(of("").unwrap().propagation, 0);
    assert_eq!(
        of("rshared").unwrap().propagation,
        libc::MS_SHARED | libc::MS_REC
    );
    let message = of("open").unwrap_err().to_string();
    assert_eq!(message, "rootfsPropagation=open is not supported");
}

#[test]
fn a_clean_path_is_absolute_and_stays_below_the_root() {
    for (path, cleaned) in [("dev/", "/dev"), ("/a/../../b/./c", "/b/c"), ("", "/")] {
        assert_eq!(clean(Path::new(path)), Path::new(cleaned));
    }
}
