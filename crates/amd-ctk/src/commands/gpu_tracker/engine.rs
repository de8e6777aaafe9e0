//! The engine that runs a container and the image that it was made from: told by where the
//! engine keeps its files, since an OCI runtime is told neither.

use std::fs;
use std::path::{Path, PathBuf};

use discovery::HostRoot;
use gpu_tracker::Reservation;
use serde_json::Value;

/// The engine, by the paths of the container.
pub(super) fn of(container: &Reservation) -> Option<&'static str> {
    let has = |path: &Path, name: &str| path.iter().any(|part| part == name);
    let (root, bundle) = (&container.root, &container.bundle);
    let any = |name| has(root, name) || has(bundle, name);
    if any("moby") || any("docker") {
        Some("docker")
    } else if any("k8s.io") {
        Some("kubernetes")
    } else if any("containerd") {
        Some("containerd")
    } else if has(bundle, "overlay-containers") {
        // Both keep their containers so; an image is named in an annotation by CRI-O alone.
        Some(match container.image {
            Some(_) => "cri-o",
            None => "podman",
        })
    } else {
        None
    }
}

/// The image, where the container's annotations or the files of its engine name it.
pub(super) fn image(container: &Reservation, host: &HostRoot) -> Option<String> {
    container
        .image
        .clone()
        .or_else(|| docker_image(container, host))
        .or_else(|| podman_image(container, host))
}

/// dockerd's file of a container: `<data root>/containers/<id>/config.v2.json`. The data root is
/// what is above the storage driver in the path of the root filesystem.
fn docker_image(container: &Reservation, host: &HostRoot) -> Option<String> {
    let drivers = [
        "overlay2",
        "overlay",
        "vfs",
        "btrfs",
        "zfs",
        "fuse-overlayfs",
    ];
    let data_root = above(&container.rootfs, &drivers)?;
    let file = data_root
        .join("containers")
        .join(&container.id)
        .join("config.v2.json");
    let config = read_json(&host.join(file))?;
    text(config.pointer("/Config/Image")?)
}

/// The list of containers of containers/storage, beside the bundle's directory; its metadata are
/// JSON in a string.
fn podman_image(container: &Reservation, host: &HostRoot) -> Option<String> {
    let storage = above(&container.bundle, &["overlay-containers"])?;
    let list = read_json(&host.join(storage.join("overlay-containers/containers.json")))?;
    let of_container = |entry: &&Value| entry["id"] == *container.id;
    let entry = list.as_array()?.iter().find(of_container)?;
    let metadata: Value = serde_json::from_str(entry["metadata"].as_str()?).ok()?;
    text(metadata.get("image-name")?)
}

fn text(value: &Value) -> Option<String> {
    value
        .as_str()
        .filter(|text| !text.is_empty())
        .map(str::to_owned)
}

/// The part of `path` above the component that is one of `names`.
fn above(path: &Path, names: &[&str]) -> Option<PathBuf> {
    let is_meant = |dir: &&Path| {
        dir.file_name()
            .is_some_and(|name| names.iter().any(|meant| name == *meant))
    };
    Some(path.ancestors().find(is_meant)?.parent()?.to_owned())
}

fn read_json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn container(root: &str, bundle: &str, rootfs: &str) -> Reservation {
        let reservation = serde_json::json!({
            "id": "c1", "root": root, "gpus": [], "process": {"pid": 1, "start_time": 0},
            "since": "2026-01-31T12:00:00Z", "bundle": bundle, "rootfs": rootfs,
        });
        serde_json::from_value(reservation).unwrap()
    }

    #[test]
    fn engines_are_told_by_their_paths() {
        for (root, bundle, engine) in [
            (
                "/run/docker/runtime-amd/moby",
                "/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/c1",
                Some("docker"),
            ),
            (
                "/run/containerd/runc/k8s.io",
                "/run/containerd/io.containerd.runtime.v2.task/k8s.io/c1",
                Some("kubernetes"),
            ),
            (
                "/run/containerd/runc/default",
                "/run/containerd/io.containerd.runtime.v2.task/default/c1",
                Some("containerd"),
            ),
            (
                "/run/amd-container-runtime",
                "/var/lib/containers/storage/overlay-containers/c1/userdata",
                Some("podman"),
            ),
            ("/run/amd-container-runtime", "/bundles/c1", None),
        ] {
            assert_eq!(
                of(&container(root, bundle, "/x")),
                engine,
                "{root} {bundle}"
            );
        }
    }

    #[test]
    fn images_are_named_by_the_files_of_their_engines() {
        let tmp = tempfile::tempdir().unwrap();
        let host = HostRoot::new(tmp.path());
        let files = BTreeMap::from([
            (
                "srv/docker/containers/c1/config.v2.json",
                r#"{"Config": {"Image": "rocm:1"}}"#,
            ),
            (
                "srv/storage/overlay-containers/containers.json",
                r#"[{"id": "c0"}, {"id": "c1", "metadata": "{\"image-name\": \"rocm:2\"}"}]"#,
            ),
        ]);
        for (path, text) in files {
            let path = tmp.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let docker = container("/r", "/b", "/srv/docker/overlay2/abc/merged");
        assert_eq!(image(&docker, &host).as_deref(), Some("rocm:1"));
        let podman = container("/r", "/srv/storage/overlay-containers/c1/userdata", "/x");
        assert_eq!(image(&podman, &host).as_deref(), Some("rocm:2"));
        assert_eq!(image(&container("/r", "/b", "/x"), &host), None);
    }
}
