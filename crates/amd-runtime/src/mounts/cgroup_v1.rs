//! The view that a container has of its own cgroup on v1.
//!
//! libcontainer mounts every hierarchy writable whatever the spec says, and binds one
//! that the container was not put in (`name=systemd`) at the host's root
//! (`rootfs/mount.rs`, `mount_cgroup_v1`). runc shows the container its own cgroup, with
//! the options of the spec. Here the one mount of type `cgroup` becomes what runc makes
//! of it: a tmpfs, and in it the container's directory of each hierarchy.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::spec::{SpecError, array, namespace};

/// Replaces the mounts of type `cgroup` by binds of `dirs`, the container's own
/// directories, each of which ends in `below`, the path of its cgroup.
///
/// # Errors
/// Where a field on the way is of the wrong type.
pub fn show_own_v1(spec: &mut Value, dirs: &[PathBuf], below: &Path) -> Result<(), SpecError> {
    let own_mounts = namespace(spec, "mount").is_some();
    let mounts = array(spec, "mounts")?;
    let all = std::mem::take(mounts);
    for mount in all {
        if mount.get("type").and_then(Value::as_str) != Some("cgroup") {
            mounts.push(mount);
            continue;
        }
        let destination = mount
            .get("destination")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let options = mount
            .get("options")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let is_read_only = options.iter().any(|option| option == "ro");
        let mut of_tmpfs = vec!["nosuid", "noexec", "nodev", "mode=755"];
        // Once the directories in it are made: see `PlannedMount::is_read_only_late`, which
        // libcontainer knows nothing of.
        if is_read_only && own_mounts {
            of_tmpfs.push("ro");
        }
        mounts.push(json!({
            "destination": destination, "type": "tmpfs", "source": "tmpfs",
            "options": of_tmpfs,
        }));
        mounts.extend(
            dirs.iter()
                .flat_map(|dir| names(dir, below).into_iter().map(move |name| (dir, name)))
                .map(|(dir, name)| bind(dir, &Path::new(destination).join(name), is_read_only)),
        );
    }
    Ok(())
}

/// The names of a hierarchy below /sys/fs/cgroup: that of its mount point and, where it
/// has several controllers (`cpu,cpuacct`), that of each.
fn names(dir: &Path, below: &Path) -> Vec<String> {
    let mount_point = dir.ancestors().nth(below.components().count());
    let Some(name) = mount_point
        .and_then(Path::file_name)
        .and_then(|name| name.to_str())
    else {
        return Vec::new();
    };
    let mut names = vec![name.to_owned()];
    if name.contains(',') {
        names.extend(name.split(',').map(str::to_owned));
    }
    names
}

fn bind(source: &Path, destination: &Path, read_only: bool) -> Value {
    let mut options = vec!["bind", "nosuid", "noexec", "nodev"];
    if read_only {
        options.push("ro");
    }
    json!({"destination": destination, "type": "bind", "source": source, "options": options})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(options: Value) -> Value {
        let mut spec = json!({
            "mounts": [
                {"destination": "/proc", "type": "proc"},
                {"destination": "/sys/fs/cgroup", "type": "cgroup", "options": options},
            ],
            "linux": {"namespaces": [{"type": "mount"}]},
        });
        let dirs = [
            "/sys/fs/cgroup/devices/docker/c",
            "/sys/fs/cgroup/cpu,cpuacct/docker/c",
        ];
        show_own_v1(&mut spec, &dirs.map(PathBuf::from), Path::new("docker/c")).unwrap();
        spec
    }

    #[test]
    fn a_container_sees_its_own_directory_of_each_hierarchy() {
        let spec = shown(json!(["ro", "nosuid"]));
        let mounts: Vec<_> = spec["mounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| {
                (
                    m["destination"].as_str().unwrap(),
                    m["source"].as_str().unwrap_or("-"),
                )
            })
            .collect();
        assert_eq!(
            mounts,
            [
                ("/proc", "-"),
                ("/sys/fs/cgroup", "tmpfs"),
                ("/sys/fs/cgroup/devices", "/sys/fs/cgroup/devices/docker/c"),
                (
                    "/sys/fs/cgroup/cpu,cpuacct",
                    "/sys/fs/cgroup/cpu,cpuacct/docker/c"
                ),
                ("/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct/docker/c"),
                (
                    "/sys/fs/cgroup/cpuacct",
                    "/sys/fs/cgroup/cpu,cpuacct/docker/c"
                ),
            ]
        );
    }

    #[test]
    fn read_only_is_what_the_spec_says_is() {
        for (options, expected) in [(json!(["ro"]), true), (json!(null), false)] {
            let spec = shown(options);
            for mount in [1, 2] {
                let options = spec["mounts"][mount]["options"].as_array().unwrap();
                assert_eq!(options.contains(&json!("ro")), expected, "{mount}");
            }
            assert!(spec["linux"].get("readonlyPaths").is_none());
        }
    }
}
