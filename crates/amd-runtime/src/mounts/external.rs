//! The mounts of a container that are not of its own making, as a checkpoint has to know them:
//! CRIU dumps what is mounted from outside by its name only, and restores it from what it is told.

use std::path::{Path, PathBuf};

use libcontainer::oci_spec::runtime::Spec;

use super::error::{Result, Step, at};
use super::plan::{Kind, Plan, PlannedMount, clean};
use super::root::Root;
use crate::error::Error;

/// A mount from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// Where it is in the container, with the links of the root filesystem followed.
    pub destination: PathBuf,
    /// What of the host it is.
    pub source: PathBuf,
}

/// The bind mounts of a container, in the order of its spec.
///
/// # Errors
/// Where the spec is refused or the root filesystem cannot be opened.
pub fn external(
    spec: &Spec,
    rootfs: &Path,
    bundle: &Path,
) -> std::result::Result<Vec<External>, Error> {
    let plan = Plan::of(spec, rootfs, bundle)?;
    let root = open(rootfs)?;
    let binds = plan.mounts.iter().filter(|mount| mount.kind == Kind::Bind);
    Ok(binds
        .map(|mount| External {
            destination: resolved(&root, &mount.destination),
            source: mount.source.clone(),
        })
        .collect())
}

/// Makes the mount points that a new container would get, and that its image, or a directory
/// that it mounts, may have lost since: CRIU makes none.
///
/// # Errors
/// Names the first that cannot be made.
pub fn make_mount_points(
    spec: &Spec,
    rootfs: &Path,
    bundle: &Path,
) -> std::result::Result<(), Error> {
    let plan = Plan::of(spec, rootfs, bundle)?;
    let root = open(rootfs)?;
    let mut above: Vec<(PathBuf, &PlannedMount)> = Vec::new();
    for mount in &plan.mounts {
        let destination = resolved(&root, &mount.destination);
        let covering = above
            .iter()
            .rev()
            .find(|(above, _)| destination.starts_with(above));
        match covering {
            None => make(&root, &destination, mount),
            Some((above, below)) if below.kind == Kind::Bind && below.source.is_dir() => {
                let rest = destination.strip_prefix(above).unwrap_or(&destination);
                Root::open(&below.source)
                    .step(|| at("open", &below.source))
                    .and_then(|root| make(&root, rest, mount))
            }
            // What is in a file system of its own is in the images, or made by the kernel.
            Some(_) => Ok(()),
        }
        .map_err(|err| Error::Process(crate::error::chain(&err)))?;
        above.push((destination, mount));
    }
    Ok(())
}

fn make(root: &Root, path: &Path, mount: &PlannedMount) -> Result<()> {
    let is_file = mount.kind == Kind::Bind && !mount.source.is_dir();
    let made = match is_file {
        true => root.file(path),
        false => root.directory(path),
    };
    made.map(drop).step(|| at("create mountpoint", path))
}

fn open(rootfs: &Path) -> std::result::Result<Root, Error> {
    Root::open(rootfs).map_err(|source| Error::Io {
        what: "cannot open",
        path: rootfs.to_owned(),
        source,
    })
}

/// The path in the container to which links of the root filesystem lead; what is not there is in
/// another mount, or will be made as it is written.
fn resolved(root: &Root, destination: &Path) -> PathBuf {
    use std::os::fd::AsFd;
    let found = root.find(destination);
    found
        .and_then(|found| root.path_of(found.as_fd()))
        .unwrap_or_else(|_| clean(destination))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use serde_json::json;

    use super::*;

    fn spec(mounts: serde_json::Value) -> Spec {
        let spec = json!({"ociVersion": "1.2.0", "root": {"path": "rootfs"}, "mounts": mounts,
            "process": {"cwd": "/", "args": ["sh"], "user": {"uid": 0, "gid": 0}}});
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn bind_mounts_are_named_by_where_links_of_the_image_lead() {
        let tmp = tempfile::tempdir().unwrap();
        fs::create_dir_all(tmp.path().join("real/conf")).unwrap();
        symlink("/real/conf", tmp.path().join("conf")).unwrap();
        let spec = spec(json!([
            {"destination": "/conf", "source": "/etc", "options": ["bind"]},
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/../not/there", "source": "/usr", "options": ["rbind"]},
        ]));
        let external = external(&spec, tmp.path(), tmp.path()).unwrap();
        let pairs: Vec<_> = external
            .iter()
            .map(|mount| {
                (
                    mount.destination.to_str().unwrap(),
                    mount.source.to_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(pairs, [("/real/conf", "/etc"), ("/not/there", "/usr")]);
    }

    #[test]
    fn mount_points_are_made_where_the_mount_above_them_comes_from() {
        let tmp = tempfile::tempdir().unwrap();
        let (rootfs, outer, file) = (
            tmp.path().join("rootfs"),
            tmp.path().join("outer"),
            tmp.path().join("file"),
        );
        fs::create_dir(&rootfs).unwrap();
        fs::create_dir(&outer).unwrap();
        fs::write(&file, "").unwrap();
        let spec = spec(json!([
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
            {"destination": "/dev/shm", "type": "tmpfs", "source": "shm"},
            {"destination": "/test", "source": outer, "options": ["bind"]},
            {"destination": "/test/for/nested", "source": outer, "options": ["bind"]},
            {"destination": "/etc/file", "source": file, "options": ["bind"]},
        ]));
        make_mount_points(&spec, &rootfs, tmp.path()).unwrap();
        assert!(outer.join("for/nested").is_dir());
        assert!(rootfs.join("test").is_dir() && !rootfs.join("test/for").exists());
        assert!(rootfs.join("dev").is_dir() && !rootfs.join("dev/shm").exists());
        assert!(rootfs.join("etc/file").is_file());
    }
}
