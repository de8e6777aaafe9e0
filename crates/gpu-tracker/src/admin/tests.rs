use super::*;
use crate::tracker::tests::{Host, gpu};

fn gpus(indices: &[u8]) -> Vec<GrantedGpu> {
    indices.iter().copied().map(gpu).collect()
}

fn exclusive(host: &Host) -> Vec<String> {
    let status = host.tracker.status(&gpus(&[0, 1, 2])).unwrap();
    let exclusive = status.gpus.into_iter().filter(|gpu| gpu.exclusive);
    exclusive.map(|gpu| gpu.gpu.index().to_owned()).collect()
}

#[test]
fn enable_finds_the_containers_that_run() {
    let host = Host::new();
    host.reserve("a", &[0]).unwrap();
    let dead = host.reserve("b", &[0]).unwrap();
    host.die(dead);
    let enabled = host.tracker.enable(&gpus(&[0])).unwrap();
    assert!(!enabled.already);
    assert_eq!(enabled.running.len(), 1);
    assert_eq!(enabled.running[0].id, "a");
    assert!(host.tracker.enable(&gpus(&[0])).unwrap().already);

    let access = host.tracker.set_access(&gpus(&[0]), Access::Exclusive);
    assert_eq!(access.unwrap().changed, gpus(&[0]));
    assert!(host.reserve("c", &[0]).is_err());
}

#[test]
fn what_is_exclusive_is_kept_while_the_tracker_is_off() {
    let host = Host::with_exclusive(&[0]);
    host.reserve("a", &[0]).unwrap();
    assert!(host.tracker.disable().unwrap());
    assert!(!host.tracker.disable().unwrap());
    host.reserve("b", &[0]).unwrap();
    let enabled = host.tracker.enable(&gpus(&[0, 1])).unwrap();
    let [overbooked] = &enabled.overbooked[..] else {
        panic!("{enabled:?}")
    };
    assert_eq!(overbooked.containers, ["a", "b"]);
    assert!(host.reserve("c", &[0]).is_err());
    host.delete("a");
    assert!(host.reserve("c", &[0]).is_err());
    host.delete("b");
    host.reserve("c", &[0]).unwrap();
}

#[test]
fn a_gpu_of_several_containers_stays_shared() {
    let host = Host::with_exclusive(&[]);
    host.reserve("a", &[0, 1]).unwrap();
    host.reserve("b", &[0]).unwrap();
    let change = host
        .tracker
        .set_access(&gpus(&[0, 1, 2]), Access::Exclusive);
    let change = change.unwrap();
    assert_eq!(change.changed, gpus(&[1, 2]));
    assert_eq!(change.refused[0].containers, ["a", "b"]);
    assert_eq!(exclusive(&host), ["1", "2"]);
    assert!(host.reserve("c", &[1]).is_err());
    let shared = host
        .tracker
        .set_access(&gpus(&[1]), Access::Shared)
        .unwrap();
    assert_eq!(shared.changed, gpus(&[1]));
    host.reserve("c", &[1]).unwrap();
}

#[test]
fn nothing_is_made_exclusive_while_the_tracker_is_off() {
    let host = Host::new();
    let change = host.tracker.set_access(&gpus(&[0]), Access::Exclusive);
    assert!(matches!(change, Err(TrackerError::Disabled)));
    assert!(!host.tracker.files.settings().exists());
}

#[test]
fn reset_shares_everything_and_keeps_the_switch() {
    for enabled in [true, false] {
        let host = Host::new();
        host.set(enabled, &[0, 1]);
        let reset = host.tracker.reset().unwrap();
        assert_eq!((reset.enabled, reset.unreadable), (enabled, None));
        assert_eq!(exclusive(&host), Vec::<String>::new());
        assert_eq!(host.tracker.status(&[]).unwrap().enabled, enabled);
    }
}

#[test]
fn reset_mends_settings_that_cannot_be_read() {
    for text in ["", "{\"version\": 1, \"ena", "\0\0"] {
        let host = Host::with_exclusive(&[0]);
        fs::write(host.tracker.files.settings(), text).unwrap();
        for command in [
            host.tracker.enable(&[]).map(|_| ()),
            host.tracker.disable().map(|_| ()),
            host.tracker.status(&[]).map(|_| ()),
            host.tracker.init(&[]).map(|_| ()),
            host.tracker
                .set_access(&gpus(&[0]), Access::Shared)
                .map(|_| ()),
        ] {
            assert!(matches!(command, Err(TrackerError::Settings { .. })));
        }
        let reset = host.tracker.reset().unwrap();
        assert!(reset.unreadable.is_some() && !reset.enabled);
        host.reserve("a", &[0]).unwrap();
    }
}

#[test]
fn init_makes_settings_once() {
    let host = Host::new();
    assert_eq!(host.tracker.init(&[]).unwrap(), Some(None));
    host.set(true, &[0]);
    assert_eq!(host.tracker.init(&[]).unwrap(), None);
    assert_eq!(exclusive(&host), ["0"]);
}

#[test]
fn a_container_is_released_by_force_while_it_lives() {
    let host = Host::with_exclusive(&[0]);
    host.reserve("abcdef", &[0]).unwrap();
    let error = host.tracker.release("abc", false).unwrap_err();
    assert!(matches!(error, TrackerError::Running { .. }), "{error}");
    assert!(host.reserve("b", &[0]).is_err());
    let released = host.tracker.release("abc", true).unwrap();
    assert_eq!((&*released.id, released.gpus), ("abcdef", gpus(&[0])));
    host.reserve("b", &[0]).unwrap();
    let error = host.tracker.release("abc", true).unwrap_err();
    assert!(
        matches!(error, TrackerError::NoSuchContainer { .. }),
        "{error}"
    );
}

#[test]
fn an_id_that_could_be_several_containers_is_refused() {
    let host = Host::new();
    let dead = host.reserve("a1", &[0]).unwrap();
    host.die(dead);
    let dead = host.reserve("a12", &[1]).unwrap();
    host.die(dead);
    let error = host.tracker.release("a", false).unwrap_err();
    assert!(matches!(error, TrackerError::Ambiguous { .. }), "{error}");
    assert!(host.tracker.release("", false).is_err());
    assert_eq!(host.tracker.release("a1", false).unwrap().gpus, gpus(&[0]));
    assert_eq!(host.tracker.release("a", false).unwrap().gpus, gpus(&[1]));
}

#[test]
fn status_lists_gpus_that_are_gone_and_settings_that_are_void() {
    let host = Host::with_exclusive(&[0, 7]);
    host.reserve("a", &[0, 8]).unwrap();
    host.reserve("b", &[1]).unwrap();
    let status = host.tracker.status(&gpus(&[0, 1])).unwrap();
    let of = |index: usize| &status.gpus[index].containers;
    assert_eq!((of(0)[0].id.as_str(), of(1)[0].id.as_str()), ("a", "b"));
    assert_eq!(status.elsewhere.len(), 1);
    assert_eq!(status.elsewhere[0].id, "a");
    assert_eq!(status.void, [(&gpu(7)).into()]);
}
