use std::path::PathBuf;

use chrono::DateTime;
use discovery::Uuid;
use host_state::ProcessRef;

use super::*;
use crate::Settings;

/// The GPU with this index, the only one of its board.
pub(crate) fn gpu(index: u8) -> GrantedGpu {
    GrantedGpu {
        name: format!("amd.com/gpu={index}"),
        pci: format!("0000:{index:02x}:00.0").parse().unwrap(),
        partition: None,
        mode: None,
        uuid: Some(Uuid(0xa0 + u64::from(index))),
    }
}

/// The reservation of a container whose process is this one.
pub(crate) fn reservation(root: &Path, id: &str, gpus: &[u8]) -> Reservation {
    Reservation {
        id: id.into(),
        root: root.to_owned(),
        gpus: gpus.iter().copied().map(gpu).collect(),
        process: ProcessRef::own().unwrap(),
        cgroups: Vec::new(),
        since: DateTime::UNIX_EPOCH,
        bundle: "/bundle".into(),
        rootfs: "/bundle/rootfs".into(),
        image: None,
    }
}

/// A host in a directory of its own, with the /proc of this one.
pub(crate) struct Host {
    _tmp: tempfile::TempDir,
    pub tracker: Tracker,
}

pub(crate) const ROOT: &str = "/run/state";

impl Host {
    pub fn new() -> Self {
        let tmp = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/proc", tmp.path().join("proc")).unwrap();
        let tracker = Tracker::new(HostRoot::new(tmp.path()));
        Self { _tmp: tmp, tracker }
    }

    /// One on which the tracker is on and these GPUs are exclusive.
    pub fn with_exclusive(gpus: &[u8]) -> Self {
        let host = Self::new();
        host.set(true, gpus);
        host
    }

    pub fn set(&self, enabled: bool, exclusive: &[u8]) {
        let gpus = exclusive.iter().copied().map(gpu);
        let settings = Settings {
            enabled,
            exclusive: gpus.map(|gpu| (&gpu).into()).collect(),
        };
        settings::store(&self.tracker.files.settings(), &settings).unwrap();
    }

    pub fn path(&self, on_host: &str) -> PathBuf {
        self.tracker.files.on_host(on_host)
    }

    /// What `create` does: a state directory, and the reservation in it.
    pub fn reserve(&self, id: &str, gpus: &[u8]) -> Result<Reservation, TrackerError> {
        let reservation = reservation(Path::new(ROOT), id, gpus);
        fs::create_dir_all(self.path(ROOT).join(id)).unwrap();
        self.tracker.reserve(&reservation).map(|()| reservation)
    }

    /// What becomes of a container whose processes end.
    pub fn die(&self, mut reservation: Reservation) {
        reservation.process.start_time -= 1;
        self.tracker.write(&reservation).unwrap();
    }

    pub fn delete(&self, id: &str) {
        fs::remove_dir_all(self.path(ROOT).join(id)).unwrap();
    }
}

#[track_caller]
fn assert_refused(result: Result<Reservation, TrackerError>, gpus: &str, holder: &str) {
    let error = result.unwrap_err();
    let message = error.to_string();
    assert!(matches!(error, TrackerError::InUse(_)), "{message}");
    assert!(
        message.starts_with(&format!("GPUs [{gpus}] are exclusive")),
        "{message}"
    );
    assert!(
        message.contains(&format!("by container {holder} (pid ")),
        "{message}"
    );
}

#[test]
fn off_means_that_only_the_reservation_is_written() {
    let host = Host::new();
    host.reserve("a", &[0]).unwrap();
    host.reserve("b", &[0]).unwrap();
    assert!(host.path(ROOT).join("a/gpus.json").is_file());
    assert!(!host.tracker.files.run().exists());
    assert!(!host.tracker.files.settings().exists());
}

#[test]
fn a_shared_gpu_is_for_everybody_and_an_exclusive_one_for_one() {
    let host = Host::with_exclusive(&[1]);
    host.reserve("a", &[0, 1]).unwrap();
    host.reserve("b", &[0]).unwrap();
    assert_refused(host.reserve("c", &[1]), "1", "a");
}

#[test]
fn a_container_that_nobody_finds_gets_shared_gpus_alone() {
    let host = Host::with_exclusive(&[1]);
    let reserve = |id: &str, gpus: &[u8]| {
        fs::create_dir_all(host.path(ROOT).join(id)).unwrap();
        let reservation = reservation(Path::new(ROOT), id, gpus);
        host.tracker.reserve_unseen(&reservation)
    };
    reserve("a", &[0, 2]).unwrap();
    let error = reserve("b", &[0, 1]).unwrap_err();
    assert!(
        matches!(&error, TrackerError::Unseen(gpus) if gpus == &["1"]),
        "{error}"
    );
    assert!(host.path(ROOT).join("a/gpus.json").exists());
    assert!(!host.path(ROOT).join("b/gpus.json").exists());
    assert!(!host.tracker.files.run().exists());
    host.set(false, &[1]);
    reserve("b", &[1]).unwrap();
}

#[test]
fn a_container_gets_all_of_its_gpus_or_none() {
    let host = Host::with_exclusive(&[0, 1, 2]);
    host.reserve("a", &[1]).unwrap();
    host.reserve("b", &[2]).unwrap();
    let error = host.reserve("c", &[0, 1, 2]).unwrap_err().to_string();
    assert!(error.contains("GPUs [1 2]"), "{error}");
    assert!(error.contains("GPU 1 (0xA1) by container a"), "{error}");
    assert!(error.contains("GPU 2 (0xA2) by container b"), "{error}");
    assert!(!host.path(ROOT).join("c/gpus.json").exists());
    host.reserve("d", &[0]).unwrap();
}

#[test]
fn a_reservation_that_was_handed_over_lives_as_long_as_the_init() {
    let host = Host::with_exclusive(&[0]);
    let init = ProcessRef::own().unwrap();
    let create = ProcessRef {
        start_time: init.start_time - 1,
        ..init
    };
    let mut taken = host.reserve("a", &[0]).unwrap();
    taken.process = create;
    host.tracker.write(&taken).unwrap();
    host.tracker.hand_over(taken.clone(), init).unwrap();
    assert_eq!(
        host.tracker.handed_over_to(Path::new(ROOT), "a"),
        Some(init)
    );
    let read = host.tracker.reservation(Path::new(ROOT), "a").unwrap();
    assert_eq!(read.unwrap().process, init);
    assert_refused(host.reserve("b", &[0]), "0", "a");
    // Its state directory is another container's by now.
    host.tracker.write(&taken).unwrap();
    host.reserve("b", &[0]).unwrap();
}

#[test]
fn a_reservation_that_was_released_is_not_there_again_when_it_is_handed_over() {
    let host = Host::with_exclusive(&[0]);
    let taken = host.reserve("a", &[0]).unwrap();
    host.tracker.release("a", true).unwrap();
    host.tracker
        .hand_over(taken, ProcessRef::own().unwrap())
        .unwrap();
    host.reserve("b", &[0]).unwrap();
}

#[test]
fn the_dead_hold_nothing() {
    let host = Host::with_exclusive(&[0]);
    let first = host.reserve("a", &[0]).unwrap();
    host.die(first);
    host.reserve("b", &[0]).unwrap();
    host.delete("b");
    host.reserve("c", &[0]).unwrap();
    // The id in use again, without the GPU.
    host.delete("c");
    host.reserve("c", &[1]).unwrap();
    host.reserve("d", &[0]).unwrap();
    assert_refused(host.reserve("a", &[0]), "0", "d");
}

#[test]
fn the_index_has_an_entry_a_gpu_however_many_containers_there_were() {
    let host = Host::with_exclusive(&[0, 1]);
    for n in 0..20 {
        let id = format!("c{n}");
        host.reserve(&id, &[n % 2]).unwrap();
        host.delete(&id);
    }
    let settings = host.tracker.load_settings().unwrap();
    let index = Holders::load(&host.tracker.files.holders(), &settings).unwrap();
    assert_eq!(index.unwrap().holders.len(), 2);
}

#[test]
fn an_index_that_is_lost_torn_or_old_is_made_anew() {
    let host = Host::with_exclusive(&[0]);
    host.reserve("a", &[0, 1]).unwrap();
    let index = host.tracker.files.holders();
    fs::remove_dir_all(host.tracker.files.run()).unwrap();
    assert_refused(host.reserve("b", &[0]), "0", "a");
    for text in ["", "{", "{\"settings\": \"\", \"holders\": []}"] {
        fs::write(&index, text).unwrap();
        assert_refused(host.reserve("b", &[0]), "0", "a");
    }
    // Edited by hand.
    host.set(true, &[1]);
    host.reserve("b", &[0]).unwrap();
    assert_refused(host.reserve("c", &[1]), "1", "a");
}

#[test]
fn containers_of_a_lost_directory_of_roots_are_found_again_by_the_next() {
    let host = Host::with_exclusive(&[0]);
    host.reserve("a", &[0]).unwrap();
    fs::remove_dir_all(host.tracker.files.run()).unwrap();
    fs::remove_dir_all(host.tracker.files.roots()).unwrap();
    assert_refused(host.reserve("b", &[0]), "0", "a");
}

#[test]
fn settings_that_cannot_be_read_are_an_error_and_nothing_is_written() {
    let host = Host::with_exclusive(&[0]);
    fs::write(host.tracker.files.settings(), "").unwrap();
    let error = host.reserve("a", &[1]).unwrap_err();
    assert!(matches!(error, TrackerError::Settings { .. }), "{error:?}");
    assert!(!host.path(ROOT).join("a/gpus.json").exists());
}

#[test]
fn a_reservation_that_cannot_be_read_may_be_of_the_gpu() {
    let host = Host::with_exclusive(&[0]);
    host.reserve("a", &[0]).unwrap();
    fs::write(host.path(ROOT).join("a/gpus.json"), "{").unwrap();
    for _ in 0..2 {
        let error = host.reserve("b", &[0]).unwrap_err();
        assert!(
            matches!(error, TrackerError::Reservation { .. }),
            "{error:?}"
        );
        assert!(error.to_string().contains("/a/gpus.json"), "{error}");
        // The same without the index.
        let _ = fs::remove_file(host.tracker.files.holders());
    }
    host.reserve("c", &[1]).unwrap();
    host.delete("a");
    host.reserve("b", &[0]).unwrap();
}

#[test]
fn a_reservation_that_was_taken_can_be_taken_again_by_its_container() {
    let host = Host::with_exclusive(&[0]);
    host.reserve("a", &[0]).unwrap();
    host.reserve("a", &[0]).unwrap();
}

#[test]
fn one_that_was_released_is_not_written_again() {
    let host = Host::with_exclusive(&[0]);
    let reservation = host.reserve("a", &[0]).unwrap();
    host.tracker.update(&reservation).unwrap();
    fs::remove_file(host.path(ROOT).join("a/gpus.json")).unwrap();
    host.tracker.update(&reservation).unwrap();
    host.reserve("b", &[0]).unwrap();
}

#[test]
fn a_slot_outlives_a_change_of_the_partition_mode() {
    let host = Host::new();
    let in_mode = |mode: &str, partition| GrantedGpu {
        partition: Some(partition),
        mode: Some(mode.into()),
        ..gpu(0)
    };
    let mut settings = Settings {
        enabled: true,
        ..Settings::default()
    };
    for gpu in [in_mode("SPX", 0), in_mode("CPX", 0), in_mode("CPX", 1)] {
        settings.set(&gpu, true);
    }
    settings::store(&host.tracker.files.settings(), &settings).unwrap();
    let reserve = |id: &str, gpu| {
        fs::create_dir_all(host.path(ROOT).join(id)).unwrap();
        let mut reservation = reservation(Path::new(ROOT), id, &[]);
        reservation.gpus = vec![gpu];
        host.tracker.reserve(&reservation).map(|()| reservation)
    };
    reserve("whole", in_mode("SPX", 0)).unwrap();
    // It can still open the nodes of the first partition, and of no other.
    assert_refused(reserve("first", in_mode("CPX", 0)), "0", "whole");
    reserve("second", in_mode("CPX", 1)).unwrap();
}

#[test]
fn of_many_threads_one_gets_the_gpu() {
    for _ in 0..20 {
        let host = Host::with_exclusive(&[0]);
        let won: usize = std::thread::scope(|scope| {
            let all: Vec<_> = (0..16)
                .map(|n| {
                    let host = &host;
                    scope.spawn(move || host.reserve(&format!("c{n}"), &[0]).is_ok())
                })
                .collect();
            all.into_iter()
                .map(|one| usize::from(one.join().unwrap()))
                .sum()
        });
        assert_eq!(won, 1);
    }
}
