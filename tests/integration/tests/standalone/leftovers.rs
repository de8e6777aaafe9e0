//! What is left of a container: nothing.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Command;

use integration::bundle::Bundle;
use integration::host::SimulatedHost;
use integration::runtime::Runtime;
use integration::spec::Spec;
use integration::traces::Traces;
use nix::mount::{MsFlags, mount};
use serde_json::json;

use crate::fixture::{TWO_GPUS, host, sleeper};

#[test]
fn nothing_is_left_of_a_container_that_was_deleted() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", sleeper(Spec::docker().env(TWO_GPUS)));
    let before = traces(&host, &runtime);
    runtime.up(&bundle);
    runtime.exec("c", &["true"]).ok();
    runtime.kill("c", "KILL").ok();
    runtime.wait_stopped("c");
    runtime.delete("c").ok();
    assert_eq!(Traces::of(&host).beyond(&before), [""; 0]);
}

#[test]
fn nothing_is_left_of_a_running_container_that_was_deleted_by_force() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", sleeper(Spec::docker().env(TWO_GPUS)));
    let before = traces(&host, &runtime);
    runtime.up(&bundle);
    runtime.call(&["delete", "--force", "c"]).ok();
    assert_eq!(Traces::of(&host).beyond(&before), [""; 0]);
}

#[test]
fn nothing_is_left_of_a_container_that_was_run() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", Spec::docker().env(TWO_GPUS).sh("exit 3"));
    let before = traces(&host, &runtime);
    runtime.run(&bundle).fails(3);
    assert_eq!(Traces::of(&host).beyond(&before), [""; 0]);
}

#[test]
fn nothing_is_left_of_a_container_that_could_not_be_created() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let spec = Spec::docker().env(TWO_GPUS).args(&["no-such-program"]);
    let bundle = Bundle::new(&host, "c", spec);
    let before = traces(&host, &runtime);
    assert_ne!(runtime.create(&bundle).code, 0);
    assert_eq!(Traces::of(&host).beyond(&before), [""; 0]);
}

#[test]
fn nothing_is_left_of_a_container_whose_state_finds_no_room() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, "c", sleeper(Spec::docker().env(TWO_GPUS)));
    let root = runtime.root();
    let filler = root.join("filler");
    let fill = || {
        fs::create_dir(root)?;
        let size = Some("size=4096,mode=700");
        mount(Some("tmpfs"), root, Some("tmpfs"), MsFlags::empty(), size)?;
        fs::write(&filler, [0; 4096])
    };
    host.inside(fill).unwrap().unwrap();
    let message = runtime.create(&bundle).fails(1);
    assert!(message.contains("No space left on device"), "{message}");
    assert_eq!(runtime.call(&["list", "-q"]).ok(), "");
    assert!(!host.inside(|| root.join("c").exists()).unwrap());
}

#[test]
fn a_container_without_a_cgroups_path_leaves_no_cgroup() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let id = format!(
        "no-cgroups-path-{}-{:?}",
        std::process::id(),
        crate::CGROUPS
    );
    // Present and empty is as good as absent, and keeps the bundle from being given one.
    for spec in [
        Spec::docker().cgroups_path(""),
        Spec::docker().set("/linux/cgroupsPath", json!(null)),
    ] {
        runtime
            .run(&Bundle::new(&host, &id, spec.env(TWO_GPUS)))
            .ok();
        let find = ["/sys/fs/cgroup", "-name", &format!("*{id}*")].map(str::to_owned);
        let found = host.inside(|| Command::new("find").args(find).output());
        assert_eq!(String::from_utf8_lossy(&found.unwrap().unwrap().stdout), "");
    }
}

#[test]
fn the_callers_bundle_is_not_touched() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    // Root filesystem and /dev are not compared: a runtime makes mount points there.
    let bundle = Bundle::new(&host, "c", sleeper(Spec::docker().env(TWO_GPUS)));
    let config = bundle.path().join("config.json");
    let look = || {
        let bytes = fs::read(&config)?;
        let meta = fs::metadata(&config)?;
        let times = (meta.ino(), meta.mtime_nsec(), meta.ctime_nsec());
        let entries = fs::read_dir(bundle.path())?.map(|entry| Ok(entry?.path()));
        let entries = entries.collect::<io::Result<Vec<PathBuf>>>()?;
        Ok::<_, io::Error>((bytes, times, entries))
    };
    let before = host.inside(look).unwrap().unwrap();
    runtime.up(&bundle);
    runtime.call(&["delete", "--force", "c"]).ok();
    assert_eq!(host.inside(look).unwrap().unwrap(), before);
}

/// What there is before the first container: the state root is made once and stays.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn traces(host: &SimulatedHost, runtime: &Runtime<'_>) -> Traces {
    host.inside(|| fs::create_dir_all(runtime.root()))
        .unwrap()
        .unwrap();
    Traces::of(host)
}
