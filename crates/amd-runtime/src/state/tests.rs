//! The state root and the directory of a container.

use std::fs;
use std::time::Duration;

use super::container::{LOCK, RECORD};
use super::*;
use crate::id::ContainerId;

fn id(name: &str) -> ContainerId {
    ContainerId::new(name).unwrap()
}

#[test]
fn an_id_can_be_claimed_once() {
    let tmp = tempfile::tempdir().unwrap();
    let root = StateRoot::new(tmp.path().join("root"));
    let (dir, _lock) = root.claim(&id("a")).unwrap();
    dir.save(&Record::for_tests("a")).unwrap();
    assert!(matches!(
        root.claim(&id("a")),
        Err(StateError::Exists { .. })
    ));
}

#[test]
fn an_unfinished_create_can_be_taken_over() {
    let tmp = tempfile::tempdir().unwrap();
    let root = StateRoot::new(tmp.path());
    let (dir, lock) = root.claim(&id("a")).unwrap();
    let mut record = Record::for_tests("a");
    record.phase = Phase::Creating;
    dir.save(&record).unwrap();
    fs::create_dir(dir.libcontainer_root()).unwrap();
    drop(lock);

    let (dir, _lock) = root.claim(&id("a")).unwrap();
    assert!(dir.leftover().is_some());
    dir.clear().unwrap();
    assert!(!dir.libcontainer_root().exists());
    assert!(dir.leftover().is_none());
}

#[test]
fn a_torn_record_is_named_and_keeps_the_id() {
    let tmp = tempfile::tempdir().unwrap();
    let root = StateRoot::new(tmp.path());
    let (dir, lock) = root.claim(&id("a")).unwrap();
    fs::write(dir.path().join(RECORD), "{\"id\":").unwrap();
    drop(lock);
    assert!(matches!(dir.record(), Err(StateError::Torn { .. })));
    assert!(matches!(
        root.claim(&id("a")),
        Err(StateError::Exists { .. })
    ));
}

#[test]
fn what_is_in_the_place_of_a_file_is_torn_and_can_be_forced_away() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = StateRoot::new(tmp.path()).container(&id("a"));
    for file in [RECORD, LOCK] {
        fs::create_dir_all(dir.path().join(file).join("full")).unwrap();
    }
    assert!(matches!(dir.record(), Err(StateError::Torn { .. })));
    let lock = |kind| dir.lock(kind, Duration::ZERO);
    assert!(matches!(
        lock(LockKind::Shared),
        Err(StateError::Torn { .. })
    ));
    let claimed = StateRoot::new(tmp.path()).claim(&id("a"));
    assert!(matches!(claimed, Err(StateError::Exists { .. })));
    let _lock = dir.lock_by_force(Duration::ZERO).unwrap();
    dir.remove().unwrap();
    assert!(!dir.exists());
}

#[test]
fn a_directory_that_a_create_claims_while_it_is_removed_is_the_creates() {
    let tmp = tempfile::tempdir().unwrap();
    let root = StateRoot::new(tmp.path());
    let (dir, lock) = root.claim(&id("a")).unwrap();
    // As far as `remove` comes before another process is faster.
    dir.clear().unwrap();
    fs::remove_file(dir.path().join(LOCK)).unwrap();
    drop(lock);
    let (claimed, _lock) = root.claim(&id("a")).unwrap();
    claimed.save(&Record::for_tests("a")).unwrap();

    dir.remove_unless_claimed().unwrap();
    assert!(claimed.record().is_ok());
}

#[test]
fn the_lock_is_not_made_anew_in_a_directory_that_is_being_removed() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = StateRoot::new(tmp.path()).container(&id("a"));
    fs::create_dir(dir.path()).unwrap();
    let locked = dir.lock(LockKind::Exclusive, Duration::ZERO);
    assert!(matches!(locked, Err(StateError::NotExist { .. })));
    assert!(!dir.path().join(LOCK).exists());

    let _lock = dir.lock_by_force(Duration::ZERO).unwrap();
    dir.remove().unwrap();
    assert!(!dir.exists());
}

#[test]
fn a_container_that_has_lost_its_lock_file_can_be_locked() {
    let tmp = tempfile::tempdir().unwrap();
    let root = StateRoot::new(tmp.path());
    let (dir, lock) = root.claim(&id("a")).unwrap();
    dir.save(&Record::for_tests("a")).unwrap();
    drop(lock);
    fs::remove_file(dir.path().join(LOCK)).unwrap();
    assert!(dir.lock(LockKind::Shared, Duration::ZERO).is_ok());
}

#[test]
fn what_a_link_in_the_place_of_the_directory_names_is_not_removed() {
    let tmp = tempfile::tempdir().unwrap();
    let elsewhere = tmp.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::write(elsewhere.join("file"), "").unwrap();
    let dir = StateRoot::new(tmp.path()).container(&id("a"));
    std::os::unix::fs::symlink(&elsewhere, dir.path()).unwrap();
    dir.remove().unwrap();
    assert!(!dir.exists());
    assert!(elsewhere.join("file").exists());
}

#[test]
fn a_command_that_did_not_sign_is_not_killed() {
    let tmp = tempfile::tempdir().unwrap();
    let root = StateRoot::new(tmp.path());
    let (dir, lock) = root.claim(&id("a")).unwrap();
    // Signed by a process of this pid that is gone.
    let own = ProcessRef::own().unwrap();
    let earlier = ProcessRef {
        start_time: own.start_time - 1,
        ..own
    };
    lock.sign(earlier).unwrap();
    let waited = std::thread::spawn(move || drop(lock));
    dir.lock_by_force(Duration::ZERO).unwrap();
    waited.join().unwrap();
}

#[test]
fn a_container_that_is_not_there_does_not_exist() {
    let tmp = tempfile::tempdir().unwrap();
    let dir = StateRoot::new(tmp.path()).container(&id("a"));
    assert!(matches!(dir.record(), Err(StateError::NotExist { .. })));
    assert!(matches!(
        dir.lock(LockKind::Exclusive, Duration::ZERO),
        Err(StateError::NotExist { .. })
    ));
}

#[test]
fn ids_lists_directories_only() {
    let tmp = tempfile::tempdir().unwrap();
    fs::create_dir(tmp.path().join("b")).unwrap();
    fs::create_dir(tmp.path().join("a")).unwrap();
    fs::write(tmp.path().join("file"), "").unwrap();
    let ids = StateRoot::new(tmp.path()).ids().unwrap();
    assert_eq!(ids, [id("a"), id("b")]);
}
