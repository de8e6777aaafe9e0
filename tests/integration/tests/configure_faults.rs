//! Commands that write an administrator's files, killed at every system call that changes one, and
//! on file systems without room: every file is the old or the new one, whole.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use integration::binary;
use integration::host::{Cgroups, SimulatedHost};
use integration::kill_points::{killed_at, modifying_calls};
use integration::mi300x;
use integration::outcome::Outcome;
use integration::require;

/// A command, the directory in which it writes, and what is there before.
struct Case {
    words: &'static [&'static str],
    dir: &'static str,
    before: BTreeMap<String, String>,
}

/// The files below a directory, by their paths below it.
type Files = BTreeMap<String, String>;

/// What no command minds, so long that half of it can be written.
fn filler() -> String {
    "0123456789abcdef".repeat(700)
}

fn files<const N: usize>(files: [(&str, String); N]) -> Files {
    files
        .into_iter()
        .map(|(path, text)| (path.to_owned(), text))
        .collect()
}

fn docker() -> Case {
    let text = format!("{{\n  \"labels\": [\"{}\"]\n}}\n", filler());
    Case {
        words: &["runtime", "configure", "--set-as-default", "--enable-cdi"],
        dir: "/etc/docker",
        before: files([("daemon.json", text)]),
    }
}

fn containerd() -> Case {
    Case {
        words: &["runtime", "configure", "--runtime=containerd"],
        dir: "/etc/containerd",
        before: files([("config.toml", format!("version = 2 # {}\n", filler()))]),
    }
}

fn crio() -> Case {
    Case {
        words: &["runtime", "configure", "--runtime=crio", "--set-as-default"],
        dir: "/etc/crio",
        before: files([("crio.conf", "[crio.runtime]\n".to_owned())]),
    }
}

fn podman() -> Case {
    Case {
        words: &["runtime", "configure", "--runtime=podman"],
        dir: "/etc/containers",
        before: files([("containers.conf", "[engine]\n".to_owned())]),
    }
}

const OLD_SPEC: &str = r#"{"cdiVersion": "0.5.0", "kind": "amd.com/gpu", "devices": []}"#;

fn cdi() -> Case {
    Case {
        words: &["cdi", "generate"],
        dir: "/etc/cdi",
        before: files([("amd.json", OLD_SPEC.to_owned()), ("other.json", filler())]),
    }
}

fn ctk(words: &[&str]) -> Command {
    let mut command = Command::new(binary::ours("amd-ctk", "amd-ctk").unwrap());
    command.args(words);
    if words.contains(&"configure") {
        command
            .arg("--runtime-path")
            .arg(binary::runtime_under_test().unwrap());
    }
    command
}

fn host() -> Option<SimulatedHost> {
    let can = require::programs(&["strace"]);
    can.then(|| require::host(mi300x::PRESET, Cgroups::V1))?
}

#[track_caller]
fn call(host: &SimulatedHost, program: &str, words: &[&str]) {
    Outcome::of(host, Command::new(program).args(words))
        .unwrap()
        .ok();
}

/// Puts `files` into `dir` in the place of all that was there.
fn put(host: &SimulatedHost, dir: &str, files: &Files) {
    host.inside(|| {
        fs::create_dir_all(dir).unwrap();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                fs::remove_dir_all(path).unwrap();
            } else {
                fs::remove_file(path).unwrap();
            }
        }
        for (path, text) in files {
            let path = Path::new(dir).join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    })
    .unwrap();
}

/// The files below a directory, without those that a killed command was writing.
fn taken(host: &SimulatedHost, dir: &str) -> Files {
    let mut files = all(host, dir);
    files.retain(|path, _| !path.contains(".amd-ctk-"));
    files
}

fn all(host: &SimulatedHost, dir: &str) -> Files {
    let mut files = Files::new();
    host.inside(|| {
        let mut dirs = vec![Path::new(dir).to_owned()];
        while let Some(next) = dirs.pop() {
            for entry in fs::read_dir(next).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else {
                    let below = path.strip_prefix(dir).unwrap().to_str().unwrap();
                    files.insert(below.to_owned(), fs::read_to_string(&path).unwrap());
                }
            }
        }
    })
    .unwrap();
    files
}

/// Kills `words` at every call that changes a file. Each file is as `before` or as `words`
/// leave it, and the same command, run again, does the rest.
#[track_caller]
fn killed(host: &SimulatedHost, dir: &str, before: &Files, words: &[&str]) {
    put(host, dir, before);
    let command = ctk(words);
    let points = modifying_calls(host, &command);
    let after = all(host, dir);
    assert!(points.len() >= 3, "{points:?}");
    assert!(&after != before, "{words:?} changes nothing");
    for point in &points {
        put(host, dir, before);
        killed_at(host, &command, point);
        let left = taken(host, dir);
        for path in before.keys().chain(after.keys()).chain(left.keys()) {
            let found = left.get(path);
            assert!(
                found == before.get(path) || found == after.get(path),
                "{words:?} killed at {point:?}: {path} is neither the old nor the new one, but {:?}",
                found.map(String::len)
            );
        }
        Outcome::of(host, &mut ctk(words)).unwrap().ok();
        assert!(
            taken(host, dir) == after,
            "{words:?} killed at {point:?}, and run again"
        );
    }
}

/// Configures, and removes what was configured.
#[track_caller]
fn killed_there_and_back(case: &Case) {
    let Some(host) = host() else { return };
    killed(&host, case.dir, &case.before, case.words);
    let configured = all(&host, case.dir);
    let configured: Files = configured
        .into_iter()
        .filter(|(path, _)| !path.contains(".amd-ctk-"))
        .collect();
    let engine = case.words.iter().find(|word| word.contains("--runtime="));
    let mut removal = vec!["runtime", "configure", "--remove"];
    removal.extend(engine);
    killed(&host, case.dir, &configured, &removal);
    assert!(taken(&host, case.dir) == case.before, "{removal:?}");
}

#[test]
fn daemon_json_is_old_or_new_wherever_configure_is_killed() {
    killed_there_and_back(&docker());
}

#[test]
fn containerds_config_is_old_or_new_wherever_configure_is_killed() {
    killed_there_and_back(&containerd());
}

#[test]
fn crios_drop_in_is_there_or_not_wherever_configure_is_killed() {
    killed_there_and_back(&crio());
}

#[test]
fn podmans_drop_in_is_there_or_not_wherever_configure_is_killed() {
    killed_there_and_back(&podman());
}

#[test]
fn a_cdi_spec_is_old_or_new_wherever_generate_is_killed() {
    let Some(host) = host() else { return };
    let case = cdi();
    killed(&host, case.dir, &case.before, case.words);
}

/// Runs a command on a tmpfs that has room for the files of before and, time after time, for
/// one `unit` more, until that is enough for it.
#[track_caller]
fn without_room(case: &Case, options: impl Fn(usize) -> String) {
    let Some(host) = host() else { return };
    call(&host, "mkdir", &["-p", case.dir]);
    for room in 0..20 {
        let options = options(room);
        call(
            &host,
            "mount",
            &["-t", "tmpfs", "-o", &options, "tmpfs", case.dir],
        );
        put(&host, case.dir, &case.before);
        let outcome = Outcome::of(&host, &mut ctk(case.words)).unwrap();
        let left = all(&host, case.dir);
        call(&host, "umount", &[case.dir]);
        if outcome.code == 0 {
            assert!(room > 0, "{options} was to be too small");
            assert!(left != case.before, "{:?} changes nothing", case.words);
            return;
        }
        let message = outcome.fails(1);
        assert!(message.contains("No space left on device"), "{message}");
        assert!(message.contains(case.dir), "{message}");
        assert!(left == case.before, "{:?} with {options}", case.words);
    }
    panic!("there is never room enough");
}

/// Room for so many pages beside the files of before.
fn pages(case: &Case) -> impl Fn(usize) -> String {
    const PAGE: usize = 4096;
    let taken: usize = case
        .before
        .values()
        .map(|text| text.len().div_ceil(PAGE))
        .sum();
    move |room| format!("size={}", (taken + room) * PAGE)
}

/// Room for so many files beside those of before and their directory.
fn inodes(case: &Case) -> impl Fn(usize) -> String {
    let taken = case.before.len() + 1;
    move |room| format!("size=1m,nr_inodes={}", taken + room)
}

#[test]
fn a_full_disk_leaves_the_files_of_before() {
    for case in [docker(), containerd(), crio(), podman(), cdi()] {
        without_room(&case, pages(&case));
    }
}

#[test]
fn a_disk_that_takes_no_more_files_leaves_those_of_before() {
    for case in [docker(), containerd(), crio(), podman(), cdi()] {
        without_room(&case, inodes(&case));
    }
}
