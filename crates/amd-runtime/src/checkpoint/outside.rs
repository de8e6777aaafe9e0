//! What of a container is not in its images: CRIU dumps a name for it, and finds what it is to be
//! when it restores it (criu(8), "--external", "--inherit-fd"). The names are runc's.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use rust_criu::rust_criu_protobuf::rpc::{
    Cgroup_root, Criu_opts, Ext_mount_map, Inherit_fd, Join_namespace,
};
use serde_json::Value;

use crate::mounts::external::External;
use crate::state::{read_regular, write_atomically};

/// What masks a file.
const NULL: &str = "/dev/null";

/// The standard streams of a container, in the directory of the images.
const DESCRIPTORS: &str = "descriptors.json";

fn pair(key: impl Into<String>, value: impl Into<String>) -> Ext_mount_map {
    Ext_mount_map {
        key: Some(key.into()),
        val: Some(value.into()),
        ..Ext_mount_map::new()
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The device nodes that a spec names: engines can have them bind-mounted.
fn nodes(spec: &Value) -> impl Iterator<Item = &str> {
    let devices = spec
        .pointer("/linux/devices")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    devices.iter().filter_map(|device| device["path"].as_str())
}

fn masked(spec: &Value) -> impl Iterator<Item = &str> {
    let paths = spec
        .pointer("/linux/maskedPaths")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    paths.iter().filter_map(Value::as_str)
}

/// Names what is mounted from outside, for a dump of the container whose root directory the host
/// sees at `root`.
pub fn name_mounts(opts: &mut Criu_opts, spec: &Value, external: &[External], root: &Path) {
    let binds = external.iter().map(|mount| {
        let path = text(&mount.destination);
        pair(path.clone(), path)
    });
    let is_file = |path: &&str| {
        let shown = root.join(path.trim_start_matches('/'));
        shown.symlink_metadata().is_ok_and(|found| !found.is_dir())
    };
    let masks = masked(spec).filter(is_file).map(|path| pair(path, NULL));
    let nodes = nodes(spec).map(|path| pair(path, path));
    opts.ext_mnt.extend(binds.chain(masks).chain(nodes));
}

/// Says what is to be mounted for the names of [`name_mounts`].
pub fn find_mounts(opts: &mut Criu_opts, spec: &Value, external: &[External]) {
    let binds = external
        .iter()
        .map(|mount| pair(text(&mount.destination), text(&mount.source)));
    let masks = masked(spec).next().map(|_| pair(NULL, NULL));
    let nodes = nodes(spec).map(|path| pair(path, path));
    opts.ext_mnt.extend(binds.chain(masks).chain(nodes));
}

/// The namespaces of a spec that have a path, and so are another's: kind and path.
fn namespaces(spec: &Value) -> impl Iterator<Item = (&str, &str)> {
    let namespaces = spec
        .pointer("/linux/namespaces")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    namespaces.iter().filter_map(|namespace| {
        let kind = namespace["type"].as_str()?;
        let path = namespace["path"].as_str().filter(|path| !path.is_empty())?;
        Some((kind, path))
    })
}

/// A network or PID namespace, which CRIU takes by a descriptor: its kind in CRIU's words, and
/// the key under which it is dumped and found.
fn by_descriptor(kind: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "network" => Some(("net", "extRootNetNS")),
        "pid" => Some(("pid", "extRootPidNS")),
        _ => None,
    }
}

/// Names the namespaces that are another's, for a dump.
///
/// # Errors
/// Where one is not there.
pub fn name_namespaces(opts: &mut Criu_opts, spec: &Value) -> Result<(), (PathBuf, io::Error)> {
    for (kind, path) in namespaces(spec) {
        if let Some((kind, key)) = by_descriptor(kind) {
            let namespace = fs::metadata(path).map_err(|err| (path.into(), err))?;
            opts.external
                .push(format!("{kind}[{}]:{key}", namespace.ino()));
        }
    }
    Ok(())
}

/// Says which namespaces the container is to be restored into. They must stay open until CRIU has
/// been started.
///
/// # Errors
/// Where one is not there.
pub fn find_namespaces(
    opts: &mut Criu_opts,
    spec: &Value,
) -> Result<Vec<OwnedFd>, (PathBuf, io::Error)> {
    let mut opened = Vec::new();
    for (kind, path) in namespaces(spec) {
        let Some((_, key)) = by_descriptor(kind) else {
            opts.join_ns.push(Join_namespace {
                ns: Some(if kind == "mount" { "mnt" } else { kind }.to_owned()),
                ns_file: Some(path.to_owned()),
                ..Join_namespace::new()
            });
            continue;
        };
        // Not closed by execve(2): the number is the same in CRIU.
        let namespace =
            open(path, OFlag::O_RDONLY, Mode::empty()).map_err(|err| (path.into(), err.into()))?;
        opts.inherit_fd
            .push(inherited(key.to_owned(), namespace.as_raw_fd()));
        opened.push(namespace);
    }
    Ok(opened)
}

fn inherited(key: String, fd: i32) -> Inherit_fd {
    Inherit_fd {
        key: Some(key),
        fd: Some(fd),
        ..Inherit_fd::new()
    }
}

/// What the standard streams of a process are, as /proc/PID/fd names them.
pub fn streams_of(pid: i32) -> Vec<String> {
    let name = |n| fs::read_link(format!("/proc/{pid}/fd/{n}"));
    let of = |n| name(n).map_or_else(|_| NULL.to_owned(), |path| text(&path));
    (0..3).map(of).collect()
}

/// Writes the standard streams beside the images.
///
/// # Errors
/// Names the file.
pub fn keep_streams(images: &Path, streams: &[String]) -> Result<(), (PathBuf, io::Error)> {
    let path = images.join(DESCRIPTORS);
    let json = serde_json::to_vec(streams).map_err(io::Error::from);
    json.and_then(|json| write_atomically(&path, &json))
        .map_err(|err| (path, err))
}

/// Gives a restored container the standard streams of CRIU where it had pipes: they have no other
/// name by which they could be opened.
///
/// # Errors
/// Names the file that says which they were.
pub fn find_streams(opts: &mut Criu_opts, images: &Path) -> Result<(), (PathBuf, io::Error)> {
    let path = images.join(DESCRIPTORS);
    let bytes = read_regular(&path).map_err(|err| (path.clone(), err))?;
    let streams: Vec<String> = serde_json::from_slice(&bytes).map_err(|err| (path, err.into()))?;
    let pipes = streams
        .into_iter()
        .zip(0..)
        .filter(|(stream, _)| stream.contains("pipe:"));
    opts.inherit_fd
        .extend(pipes.map(|(stream, fd)| inherited(stream, fd)));
    Ok(())
}

/// Says that the container's cgroups are restored below those of process `pid`.
///
/// # Errors
/// Where the kernel does not say which they are.
pub fn find_cgroups(opts: &mut Criu_opts, pid: i32) -> Result<(), (PathBuf, io::Error)> {
    let path = PathBuf::from(format!("/proc/{pid}/cgroup"));
    let cgroups = fs::read_to_string(&path).map_err(|err| (path, err))?;
    opts.cg_root.extend(roots(&cgroups));
    Ok(())
}

/// Lines as `4:cpu,cpuacct:/a` (cgroups(7)), a root each controller.
fn roots(cgroups: &str) -> Vec<Cgroup_root> {
    let root = |controller: &str, path: &str| Cgroup_root {
        ctrl: Some(controller.to_owned()),
        path: Some(path.to_owned()),
        ..Cgroup_root::new()
    };
    let line = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let roots = controllers.split(',').map(|name| root(name, path));
        Some(roots.collect::<Vec<_>>())
    };
    cgroups.lines().filter_map(line).flatten().collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pairs(opts: &Criu_opts) -> Vec<(&str, &str)> {
        let pairs = opts.ext_mnt.iter();
        pairs.map(|pair| (pair.key(), pair.val())).collect()
    }

    #[test]
    fn what_is_named_in_a_dump_is_found_in_a_restore() {
        let tmp = tempfile::tempdir().unwrap();
        fs::create_dir_all(tmp.path().join("proc/dir")).unwrap();
        fs::write(tmp.path().join("proc/file"), "").unwrap();
        let spec = json!({"linux": {
            "maskedPaths": ["/proc/file", "/proc/dir", "/proc/not-there"],
            "devices": [{"path": "/dev/kfd"}],
        }});
        let external = [External {
            destination: "/data".into(),
            source: "/srv/data".into(),
        }];
        let (mut dump, mut restore) = (Criu_opts::new(), Criu_opts::new());
        name_mounts(&mut dump, &spec, &external, tmp.path());
        find_mounts(&mut restore, &spec, &external);
        assert_eq!(
            pairs(&dump),
            [
                ("/data", "/data"),
                ("/proc/file", "/dev/null"),
                ("/dev/kfd", "/dev/kfd")
            ]
        );
        assert_eq!(
            pairs(&restore),
            [
                ("/data", "/srv/data"),
                ("/dev/null", "/dev/null"),
                ("/dev/kfd", "/dev/kfd")
            ]
        );
        for (_, value) in pairs(&dump) {
            assert!(pairs(&restore).iter().any(|(key, _)| *key == value));
        }
    }

    #[test]
    fn a_namespace_of_another_is_dumped_by_its_inode_and_restored_by_a_descriptor() {
        let own = "/proc/self/ns/net";
        let spec = json!({"linux": {"namespaces": [
            {"type": "pid"}, {"type": "network", "path": own}, {"type": "ipc", "path": "/x"},
        ]}});
        let (mut dump, mut restore) = (Criu_opts::new(), Criu_opts::new());
        name_namespaces(&mut dump, &spec).unwrap();
        let inode = fs::metadata(own).unwrap().ino();
        assert_eq!(dump.external, [format!("net[{inode}]:extRootNetNS")]);
        let opened = find_namespaces(&mut restore, &spec).unwrap();
        assert_eq!(restore.inherit_fd[0].key(), "extRootNetNS");
        assert_eq!(restore.inherit_fd[0].fd(), opened[0].as_raw_fd());
        assert_eq!(restore.join_ns[0].ns_file(), "/x");
    }

    #[test]
    fn pipes_of_a_dump_are_the_standard_streams_of_a_restore() {
        let tmp = tempfile::tempdir().unwrap();
        let streams = ["/dev/null", "pipe:[7]", "pipe:[8]"].map(String::from);
        keep_streams(tmp.path(), &streams).unwrap();
        let mut opts = Criu_opts::new();
        find_streams(&mut opts, tmp.path()).unwrap();
        let found: Vec<_> = opts.inherit_fd.iter().map(|i| (i.key(), i.fd())).collect();
        assert_eq!(found, [("pipe:[7]", 1), ("pipe:[8]", 2)]);

        // Nobody waits for a FIFO in its place.
        fs::remove_file(tmp.path().join(DESCRIPTORS)).unwrap();
        nix::unistd::mkfifo(&tmp.path().join(DESCRIPTORS), Mode::S_IRWXU).unwrap();
        assert!(find_streams(&mut opts, tmp.path()).is_err());

        let (path, _) = find_streams(&mut opts, Path::new("/no/such")).unwrap_err();
        assert_eq!(path, Path::new("/no/such/descriptors.json"));
    }

    #[test]
    fn cgroups_of_v1_have_a_root_each_controller() {
        let lines = "4:cpu,cpuacct:/a\n1:name=systemd:/b:c\n0::/u\nrubbish\n";
        let roots = roots(lines);
        let pairs: Vec<_> = roots
            .iter()
            .map(|root| (root.ctrl(), root.path()))
            .collect();
        assert_eq!(
            pairs,
            [
                ("cpu", "/a"),
                ("cpuacct", "/a"),
                ("name=systemd", "/b:c"),
                ("", "/u")
            ]
        );
    }
}
