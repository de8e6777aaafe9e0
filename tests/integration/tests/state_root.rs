//! The directory of all containers: whose it is, and what becomes of commands when it is full.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::outcome::Outcome;
use integration::require;
use integration::runtime::{Runtime, eventually};
use integration::spec::Spec;
use nix::mount::{MsFlags, mount};
use serde_json::json;

const ID: &str = "c";

fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, Cgroups::V1)
}

fn sleeper() -> Spec {
    Spec::docker().args(&["sleep", "1000"])
}

#[test]
fn it_is_made_for_its_owner_alone_whatever_the_umask() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let filter = json!({"defaultAction": "SCMP_ACT_ALLOW"});
    let bundle = Bundle::new(&host, ID, sleeper().set("/linux/seccomp", filter));
    let words = ["create", "--bundle", &*bundle.path().to_string_lossy(), ID];
    let create = runtime.command(&words);
    let mut sh = Command::new("sh");
    sh.args(["-c", "umask 0; exec \"$@\"", "sh"])
        .arg(create.get_program())
        .args(create.get_args());
    Outcome::of(&host, &mut sh).unwrap().ok();
    let mode = |path: &str| {
        let found = host.inside(|| fs::metadata(path)).unwrap().unwrap();
        found.permissions().mode() & 0o7777
    };
    assert_eq!(mode(&runtime.root().to_string_lossy()), 0o700);
    assert_eq!(mode("/run/amd-container-toolkit"), 0o755);
}

/// Makes the state root with this mode and owner.
#[track_caller]
fn make(host: &SimulatedHost, root: &Path, mode: u32, owner: u32) {
    let make = || {
        fs::create_dir_all(root)?;
        chown(root, Some(owner), None)?;
        fs::set_permissions(root, Permissions::from_mode(mode))
    };
    host.inside(make).unwrap().unwrap();
}

#[test]
fn one_that_others_can_write_to_is_closed_to_them() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let root = runtime.root();
    make(&host, root, 0o1777, 0);
    runtime.create(&Bundle::new(&host, ID, sleeper())).ok();
    let mode = host.inside(|| fs::metadata(root).unwrap().permissions().mode());
    assert_eq!(mode.unwrap() & 0o7777, 0o700);
}

/// What is in it says what hooks are run, and which processes are killed.
#[test]
fn one_of_another_user_is_refused_to_root_by_all_that_change_a_container() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let hook = sleeper().hook("poststop", "/bin/touch", &["touch", "/run/hooked"]);
    let bundle = Bundle::new(&host, ID, hook);
    runtime.create(&bundle).ok();
    let dir = runtime.root().join(ID);
    for strange in [runtime.root(), &dir] {
        make(&host, strange, 0o700, 1000);
        for words in [
            &["start", ID][..],
            &["exec", ID, "true"],
            &["delete", "--force", ID],
        ] {
            let outcome = runtime.call(words);
            assert_ne!(outcome.code, 0, "{words:?}");
            assert!(outcome.stderr.contains("belongs to user 1000"), "{outcome}");
            assert!(outcome.stderr.contains("hint:"), "{outcome}");
        }
        make(&host, strange, 0o700, 0);
    }
    assert!(!host.inside(|| Path::new("/run/hooked").exists()).unwrap());
    make(&host, runtime.root(), 0o700, 1000);
    let message = runtime.create(&bundle).fails(1);
    assert!(message.contains("belongs to user 1000"), "{message}");
    make(&host, runtime.root(), 0o755, 0);
    runtime.call(&["delete", "--force", ID]).ok();
}

#[test]
fn a_container_starts_though_it_is_full() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let root = runtime.root();
    let small = || {
        fs::create_dir_all(root)?;
        mount(
            Some("none"),
            root,
            Some("tmpfs"),
            MsFlags::empty(),
            Some("size=256k,mode=700"),
        )
        .map_err(std::io::Error::from)
    };
    host.inside(small).unwrap().unwrap();
    runtime.create(&Bundle::new(&host, ID, sleeper())).ok();
    let fill = || fs::write(root.join("filler"), vec![0; 1 << 20]).unwrap_err();
    assert_eq!(
        host.inside(fill).unwrap().kind(),
        std::io::ErrorKind::StorageFull
    );
    runtime.start(ID).ok();
    // By its init alone it is seen to run once that has become the program.
    eventually("it runs", || runtime.state(ID)["status"] == "running");
    runtime.call(&["delete", "--force", ID]).ok();
}
