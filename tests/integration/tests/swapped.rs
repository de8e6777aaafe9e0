//! Root filesystems that another process changes while the runtime works in them: a directory
//! becomes a link to one of the host, and back, as fast as it can be done. A container fails to
//! start, or starts; the host is as it was.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x::{self, listing, nodes};
use integration::outcome::Outcome;
use integration::probe::{self, SHELL};
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde_json::json;

/// A directory of the host that a container would like to have something in.
const VICTIM: &str = "/run/victim";

/// What no container may change.
const HOST: &[&str] = &[VICTIM, "/dev"];

/// How many containers are started while the attack goes on.
const ROUNDS: usize = 12;

fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, Cgroups::V1)
}

/// Mode, owner, numbers and times of each file below `tops`, and the host's mounts.
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn state_of(host: &SimulatedHost, tops: &[&str]) -> (BTreeMap<PathBuf, String>, String) {
    let read = || {
        let mut files = BTreeMap::new();
        for top in tops {
            describe(Path::new(top), &mut files)?;
        }
        // This thread has no /proc/self.
        let mounts = fs::read_to_string("/proc/1/mountinfo")?;
        Ok::<_, io::Error>((files, mounts))
    };
    host.inside(read).unwrap().unwrap()
}

fn describe(path: &Path, files: &mut BTreeMap<PathBuf, String>) -> io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    let numbers = (
        meta.mode(),
        meta.uid(),
        meta.gid(),
        meta.rdev(),
        meta.size(),
    );
    let changed = if meta.is_dir() || meta.is_file() {
        (meta.ctime(), meta.ctime_nsec())
    } else {
        // Whoever writes to /dev/null changes its times.
        (0, 0)
    };
    files.insert(path.to_owned(), format!("{numbers:?} {changed:?}"));
    let is_devpts = path.ends_with("pts");
    if meta.is_dir() && !is_devpts {
        for entry in fs::read_dir(path)? {
            describe(&entry?.path(), files)?;
        }
    }
    Ok(())
}

/// Starts containers of `spec` while `directory` of the bundle, which is made, and a link to
/// [`VICTIM`] take each other's place. What is below `tops` must not change, nor may the
/// host's mounts. Returns what came of the containers that have run.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn attack(spec: Spec, directory: &str, tops: &[&str]) -> Vec<Outcome> {
    let Some(host) = host() else {
        return Vec::new();
    };
    let bundle = Bundle::new(&host, "c", spec);
    let directory = bundle.path().join(directory);
    let link = bundle.path().join("link");
    let prepare = || {
        for dir in ["dri", "bin", "proc", "target", "deep/target"] {
            fs::create_dir_all(Path::new(VICTIM).join(dir))?;
        }
        fs::write(Path::new(VICTIM).join("file"), "host")?;
        fs::create_dir_all(&directory)?;
        symlink(VICTIM, &link)
    };
    host.inside(prepare).unwrap().unwrap();
    let before = state_of(&host, tops);
    let runtime = Runtime::under_test(&host);
    let over = AtomicBool::new(false);
    let exchange = || {
        let mut exchanges = 0_u64;
        while !over.load(Ordering::Relaxed) {
            let flags = RenameFlags::RENAME_EXCHANGE;
            renameat2(AT_FDCWD, &directory, AT_FDCWD, &link, flags).unwrap();
            exchanges += 1;
        }
        exchanges
    };
    let mut outcomes = Vec::new();
    let exchanges = std::thread::scope(|scope| {
        let attacker = scope.spawn(|| host.inside(exchange).unwrap());
        for _ in 0..ROUNDS {
            outcomes.push(runtime.run(&bundle));
            runtime.call(&["delete", "--force", "c"]).ok();
        }
        over.store(true, Ordering::Relaxed);
        attacker.join().unwrap()
    });
    let (ran, failed): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|o| o.code == 0);
    println!(
        "{} of {ROUNDS} containers have run, {exchanges} exchanges",
        ran.len()
    );
    for outcome in failed {
        assert!(!outcome.stderr.is_empty(), "no message: {outcome}");
    }
    let after = state_of(&host, tops);
    assert_eq!(after.0, before.0, "files of the host have changed");
    assert_eq!(after.1, before.1, "the host's mounts have changed");
    ran
}

/// Whoever can exchange the root filesystem itself says what it is: mount points are made in
/// what the link leads to where that is what was found. It is one of the two, and whole.
#[test]
fn a_root_filesystem_that_becomes_a_link_to_another() {
    attack(Spec::docker().args(&["true"]), "rootfs", &["/dev"]);
}

#[test]
fn a_dev_that_becomes_a_link_while_gpu_nodes_are_made_in_it() {
    let spec = Spec::minimal()
        .env("AMD_VISIBLE_DEVICES=0")
        .sh(&format!("{SHELL}gpus"));
    let granted = nodes(&[0]);
    for outcome in attack(spec, "rootfs/dev", HOST) {
        // The attack goes on while the container looks: nodes can be out of its sight.
        for node in listing(&probe::parse(&outcome.stdout)) {
            assert!(granted.contains(&node), "{outcome}");
        }
        assert!(!outcome.stdout.contains("not permitted"), "{outcome}");
    }
}

#[test]
fn a_directory_above_a_mount_that_becomes_a_link() {
    let spec = Spec::docker()
        .args(&["true"])
        .push(
            "/mounts",
            json!({"destination": "/mnt/deep/target", "type": "tmpfs", "source": "tmpfs"}),
        )
        .push(
            "/mounts",
            json!({"destination": "/mnt/made/file", "type": "bind", "source": "/etc/hostname",
                "options": ["bind", "ro"]}),
        );
    attack(spec, "rootfs/mnt", HOST);
}

#[test]
fn directories_above_protected_paths_and_the_working_directory_that_become_links() {
    let spec = Spec::docker()
        .args(&["true"])
        .set("/process/cwd", json!("/mnt/work/below"))
        .set("/linux/maskedPaths", json!(["/mnt/file", "/mnt/dri"]))
        .set("/linux/readonlyPaths", json!(["/mnt/target"]));
    attack(spec, "rootfs/mnt", HOST);
}

#[test]
fn a_proc_that_becomes_a_link() {
    attack(Spec::docker().args(&["true"]), "rootfs/proc", HOST);
}
