//! A lost /run, settings that are torn, a full disk, a board in another mode: status tells the
//! truth, and the next create works.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;

use integration::bundle::Bundle;
use integration::host::Cgroups;
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use nix::mount::{MsFlags, mount};

use crate::fixture::{
    RUN, SETTINGS, assert_in_use, bundle, ctk, exists, holders, host_with_exclusive, status, write,
};

#[test]
fn a_lost_directory_in_run_is_made_anew_from_the_containers() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "a", "0,1"));
    for lost in [RUN, "/run/amd-container-toolkit"] {
        host.inside(|| fs::remove_dir_all(lost)).unwrap().unwrap();
        assert_in_use(runtime.create(&bundle(&host, "b", "0")), "0", "a");
        assert_eq!(holders(&host, 0), ["a"], "{lost}");
    }
    for torn in ["", "{\"settings\":", "\0\0\0"] {
        write(&host, &format!("{RUN}/exclusive.json"), torn);
        assert_in_use(runtime.create(&bundle(&host, "b", "0")), "0", "a");
    }
}

#[test]
fn settings_that_cannot_be_read_stop_gpu_containers_alone_and_reset_mends_them() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle(&host, "a", "0"));
    let plain = Spec::docker().args(&["true"]);
    for torn in ["", "{\"version\": 1, \"enabled\": tr", "[]", "\0\0\0\0"] {
        write(&host, SETTINGS, torn);
        let stderr = runtime.create(&bundle(&host, "b", "1")).fails(1);
        assert!(stderr.contains(SETTINGS), "{stderr}");
        assert!(stderr.contains("amd-ctk gpu-tracker reset"), "{stderr}");
        assert!(!exists(&host, runtime.root().join("b")));
        runtime
            .run(&Bundle::new(&host, "plain", plain.clone()))
            .ok();
        let stderr = ctk(&host, &["status"]).fails(1);
        assert!(stderr.contains("amd-ctk gpu-tracker reset"), "{stderr}");

        let outcome = ctk(&host, &["reset"]);
        assert!(
            outcome.stderr.contains("GPU Tracker is disabled"),
            "{outcome}"
        );
        assert_eq!(outcome.ok(), "GPU Tracker has been reset\n");
        assert_eq!(holders(&host, 0), ["a"]);
        runtime.up(&bundle(&host, "b", "0"));
        runtime.call(&["delete", "--force", "b"]).ok();
        let enabled = ctk(&host, &["enable"]).ok();
        assert!(enabled.contains("1 container with GPUs"), "{enabled}");
    }
}

#[test]
fn on_a_full_disk_the_settings_stay_and_containers_run() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let dir = SETTINGS.rsplit_once('/').unwrap().0;
    let settings = host
        .inside(|| fs::read_to_string(SETTINGS))
        .unwrap()
        .unwrap();
    host.inside(|| {
        let size = Some("size=16k");
        mount(Some("full"), dir, Some("tmpfs"), MsFlags::empty(), size).unwrap();
        fs::write(SETTINGS, &settings).unwrap();
        // To the last byte.
        let filler = format!("{dir}/filler");
        assert!(fs::write(filler, vec![0; 1 << 20]).is_err());
    })
    .unwrap();
    for words in [&["1", "exclusive"][..], &["disable"], &["reset"]] {
        let stderr = ctk(&host, words).fails(1);
        assert!(stderr.contains("No space left on device"), "{stderr}");
    }
    let now = host
        .inside(|| fs::read_to_string(SETTINGS))
        .unwrap()
        .unwrap();
    assert_eq!(now, settings);
    let files = host.inside(|| fs::read_dir(dir).unwrap().count()).unwrap();
    assert_eq!(files, 2, "something is left beside the settings");
    runtime.up(&bundle(&host, "a", "0"));
    assert_in_use(runtime.create(&bundle(&host, "b", "0")), "0", "a");
}

#[test]
fn after_a_partition_switch_settings_of_vanished_gpus_are_void_and_nothing_else() {
    let Some(whole) = host_with_exclusive("0,3") else {
        return;
    };
    let settings = whole
        .inside(|| fs::read_to_string(SETTINGS))
        .unwrap()
        .unwrap();
    let index = |line: &str| ctk(&whole, &["status"]).ok().contains(line);
    assert!(index("Exclusive"));
    drop(whole);

    // The same boards, each in eight partitions.
    let Some(parts) = require::host("mi300x-8-cpx", Cgroups::V1) else {
        return;
    };
    write(&parts, SETTINGS, &settings);
    let runtime = Runtime::under_test(&parts);
    runtime.up(&bundle(&parts, "a", "0-1"));
    runtime.up(&bundle(&parts, "b", "0,24"));
    let outcome = ctk(&parts, &["status"]);
    let void = "in SPX mode) is exclusive by the settings, and not on this host";
    assert_eq!(outcome.stderr.matches(void).count(), 2, "{outcome}");
    assert!(!outcome.ok().contains("Exclusive"));
    ctk(&parts, &["1", "exclusive"]).ok();
    assert_in_use(runtime.create(&bundle(&parts, "c", "1")), "1", "a");
    let settings = parts
        .inside(|| fs::read_to_string(SETTINGS))
        .unwrap()
        .unwrap();
    drop(parts);

    // And back: what was exclusive is.
    let Some(whole) = crate::fixture::host() else {
        return;
    };
    write(&whole, SETTINGS, &settings);
    let status = status(&whole);
    let access = |gpu: usize| status["gpus"][gpu]["accessibility"].clone();
    assert_eq!(access(0), "exclusive");
    assert_eq!(access(1), "shared");
    assert_eq!(access(3), "exclusive");
    assert_eq!(status["void_settings"].as_array().unwrap().len(), 1);
}
