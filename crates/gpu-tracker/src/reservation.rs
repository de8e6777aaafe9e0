//! A container's GPUs, on record beside its state.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use host_state::{Liveness, ProcessRef};
use serde::{Deserialize, Serialize};

use crate::{Files, GrantedGpu, handover};

/// The name of a reservation in the state directory of its container.
pub const RESERVATION_FILE: &str = "gpus.json";

/// Larger than any reservation: one of 64 GPUs takes 10 KiB.
const LARGEST: u64 = 1 << 20;

/// A FIFO or a link in the place of a reservation is none.
const PLAIN: i32 = libc::O_NONBLOCK | libc::O_NOFOLLOW;

/// The annotations in which engines name the image: containerd's CRI plugin, CRI-O, nerdctl.
const IMAGE_ANNOTATIONS: [&str; 4] = [
    "io.kubernetes.cri.image-name",
    "io.kubernetes.cri-o.ImageName",
    "io.kubernetes.cri-o.Image",
    "nerdctl/image-name",
];

/// The GPUs that a container can use, and how to tell whether it still lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reservation {
    /// The container's id.
    pub id: String,
    /// The state root that it is in, absolute.
    pub root: PathBuf,
    /// Its GPUs: those that it was granted, and those whose device nodes its spec has.
    pub gpus: Vec<GrantedGpu>,
    /// Its init; the `create` that builds it, until there is one.
    pub process: ProcessRef,
    /// Directories of its cgroup, where its processes do not all end with its init: a
    /// container without a PID namespace of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cgroups: Vec<PathBuf>,
    /// When it was created.
    pub since: DateTime<Utc>,
    /// Its bundle.
    pub bundle: PathBuf,
    /// Its root filesystem.
    pub rootfs: PathBuf,
    /// Its image, where the engine says so in an annotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

impl Reservation {
    /// Where it is kept, as the host names it.
    pub fn file(&self) -> PathBuf {
        file(&self.root, &self.id)
    }

    /// The image that the annotations of a spec name.
    pub fn image_of(annotations: &BTreeMap<String, String>) -> Option<String> {
        IMAGE_ANNOTATIONS
            .iter()
            .find_map(|key| annotations.get(*key).cloned())
    }

    /// Whether a process of the container, or the `create` that builds it, lives.
    pub fn is_alive(&self, files: &Files) -> bool {
        self.process.liveness_in(&files.proc()) == Liveness::Alive
            || self
                .cgroups
                .iter()
                .any(|dir| is_populated(&files.on_host(dir)))
    }

    /// The reservation at `path` and whether it is alive; `None` where there is none.
    ///
    /// # Errors
    /// As [`Reservation::load`].
    pub(crate) fn look(path: &Path, files: &Files) -> io::Result<Option<(Self, bool)>> {
        Self::look_by(
            || Self::load(path),
            |reservation| reservation.is_alive(files),
        )
    }

    /// A `create` hands its reservation over to the container's init, and ends. So one that names a
    /// process that is gone may just have been replaced: only what is still there after its process
    /// was found gone is dead.
    fn look_by(
        mut load: impl FnMut() -> io::Result<Option<Self>>,
        is_alive: impl Fn(&Self) -> bool,
    ) -> io::Result<Option<(Self, bool)>> {
        let mut found = load()?;
        while let Some(reservation) = found {
            if is_alive(&reservation) {
                return Ok(Some((reservation, true)));
            }
            found = load()?;
            if found.as_ref() == Some(&reservation) {
                return Ok(Some((reservation, false)));
            }
        }
        Ok(None)
    }

    /// The reservation at `path`; `None` where there is none.
    ///
    /// # Errors
    /// Where it cannot be read or understood, or is that of another container.
    pub(crate) fn load(path: &Path) -> io::Result<Option<Self>> {
        let opened = fs::OpenOptions::new()
            .read(true)
            .custom_flags(PLAIN)
            .open(path);
        let file = match opened {
            Err(error) if is_absent(&error) => return Ok(None),
            file => file?,
        };
        let text = read(file)?;
        let mut reservation: Self = serde_json::from_slice(&text)?;
        let of_this_container = path.parent().is_some_and(|dir| {
            dir.file_name() == Some(reservation.id.as_ref()) && path.ends_with(RESERVATION_FILE)
        });
        if !of_this_container {
            let id = &reservation.id;
            return Err(io::Error::other(format!("it is of container {id:?}")));
        }
        if let Some(init) = handover::handed_over_to(path)? {
            reservation.process = init;
        }
        Ok(Some(reservation))
    }
}

/// Where the container `id` of a state root has its reservation.
pub(crate) fn file(root: &Path, id: &str) -> PathBuf {
    root.join(id).join(RESERVATION_FILE)
}

pub(crate) fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn read(file: File) -> io::Result<Vec<u8>> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = Vec::with_capacity(4096);
    file.take(LARGEST).read_to_end(&mut text)?;
    Ok(text)
}

/// Whether a process is in the cgroup, or in one below it.
fn is_populated(dir: &Path) -> bool {
    if fs::read_to_string(dir.join("cgroup.procs")).is_ok_and(|pids| !pids.trim().is_empty()) {
        return true;
    }
    let Ok(entries) = fs::read_dir(dir) else {
        return false;
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .any(|entry| is_populated(&entry.path()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::tracker::tests::reservation;

    #[test]
    fn the_living_are_told_by_their_process_and_by_their_cgroup() {
        let files = Files::new(discovery::HostRoot::system());
        let tmp = tempfile::tempdir().unwrap();
        let mut reservation = reservation(tmp.path(), "c", &[0]);
        assert!(reservation.is_alive(&files));
        reservation.process.start_time -= 1;
        assert!(!reservation.is_alive(&files), "another has its pid");

        let below = tmp.path().join("cgroup/below");
        fs::create_dir_all(&below).unwrap();
        fs::write(tmp.path().join("cgroup/cgroup.procs"), "").unwrap();
        reservation.cgroups = vec![tmp.path().join("gone"), tmp.path().join("cgroup")];
        assert!(!reservation.is_alive(&files));
        fs::write(below.join("cgroup.procs"), "7\n").unwrap();
        assert!(reservation.is_alive(&files), "a process was left behind");
    }

    #[test]
    fn one_that_is_handed_over_while_it_is_looked_at_is_alive() {
        let tmp = tempfile::tempdir().unwrap();
        let init = reservation(tmp.path(), "c", &[0]);
        let mut create = init.clone();
        create.process.start_time -= 1;
        let is_alive = |seen: &Reservation| seen.process == init.process;
        let look = |files: &[Option<&Reservation>]| {
            let mut files = files.iter().map(|file| Ok(file.cloned()));
            Reservation::look_by(|| files.next().unwrap(), is_alive).unwrap()
        };
        // Read before the create has handed it over, and asked for its process after it has ended.
        let looked = look(&[Some(&create), Some(&init)]);
        assert_eq!(looked, Some((init.clone(), true)));
        let looked = look(&[Some(&create), Some(&create)]);
        assert_eq!(looked, Some((create.clone(), false)));
        assert_eq!(look(&[Some(&create), None]), None);
        assert_eq!(look(&[None]), None);
    }

    #[test]
    fn what_is_no_reservation_of_its_container_is_an_error() {
        let tmp = tempfile::tempdir().unwrap();
        let path = file(tmp.path(), "c");
        assert!(Reservation::load(&path).unwrap().is_none());
        fs::create_dir(tmp.path().join("c")).unwrap();
        let good = serde_json::to_string(&reservation(tmp.path(), "c", &[0])).unwrap();
        fs::write(&path, &good).unwrap();
        assert!(Reservation::load(&path).unwrap().is_some());

        let of_another = good.replace("\"id\":\"c\"", "\"id\":\"d\"");
        for text in ["", "{", &good[..good.len() / 2], "[]", &of_another] {
            fs::write(&path, text).unwrap();
            assert!(Reservation::load(&path).is_err(), "{text}");
        }
        fs::remove_file(&path).unwrap();
        fs::write(tmp.path().join("elsewhere"), &good).unwrap();
        symlink(tmp.path().join("elsewhere"), &path).unwrap();
        assert!(Reservation::load(&path).is_err());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(Reservation::load(&path).is_err());
    }

    #[test]
    fn engines_name_the_image_in_annotations() {
        let annotations = |key: &str| BTreeMap::from([(key.to_owned(), "rocm:7".to_owned())]);
        let image = |key| Reservation::image_of(&annotations(key));
        assert_eq!(
            image("io.kubernetes.cri.image-name").as_deref(),
            Some("rocm:7")
        );
        assert_eq!(image("other"), None);
    }
}
