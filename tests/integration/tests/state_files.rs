//! State that is damaged or abandoned.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::outcome::Outcome;
use integration::require;
use integration::runtime::{Runtime, eventually};
use integration::spec::Spec;
use nix::mount::{MntFlags, umount2};
use serde_json::json;

const ID: &str = "c";

fn host(cgroups: Cgroups) -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, cgroups)
}

fn sleeper() -> Spec {
    Spec::docker().args(&["sleep", "1000"])
}

#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn assert_nothing_left(host: &SimulatedHost, runtime: &Runtime<'_>, what: &str) {
    let state = host.inside(|| fs::read_dir(runtime.root()).map(Iterator::count));
    assert_eq!(state.unwrap().unwrap_or(0), 0, "{what}: state");
    assert_eq!(host.cgroups().unwrap().len(), 0, "{what}: cgroups");
    assert_eq!(host.processes().unwrap(), [""; 0], "{what}: processes");
}

/// Puts something else in the place of a file.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn replace(host: &SimulatedHost, path: &Path, by: &str) {
    let status = host.inside(|| {
        // One that is not there, as libcontainer's files are not in every state, is no matter.
        let _ = fs::remove_file(path);
        let mut command = match by {
            "a directory" => Command::new("mkdir"),
            "a FIFO" => Command::new("mkfifo"),
            _ => {
                let mut command = Command::new("ln");
                command.args(["-s", "/dev/zero"]);
                command
            }
        };
        command.arg(path).status()
    });
    assert!(
        status.unwrap().unwrap().success(),
        "{by} at {}",
        path.display()
    );
}

#[test]
fn what_is_in_the_place_of_a_file_breaks_neither_list_nor_delete_by_force() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, "other", sleeper()));
    for file in ["container.json", "lock", "config.json"] {
        for by in ["a directory", "a FIFO", "a link"] {
            let what = format!("{by} at {file}");
            runtime.up(&Bundle::new(&host, ID, sleeper()));
            replace(&host, &runtime.root().join(ID).join(file), by);
            let listed = runtime.call(&["list", "--quiet"]).ok();
            assert!(listed.lines().any(|id| id == "other"), "{what}: {listed}");
            if file == "container.json" {
                let stderr = runtime.call(&["state", ID]).fails(1);
                assert!(stderr.contains("delete --force"), "{what}: {stderr}");
            }
            runtime.call(&["delete", "--force", ID]).ok();
            let left = host.processes().unwrap();
            assert_eq!(
                left.iter().filter(|line| line.starts_with("sleep")).count(),
                1,
                "{what}"
            );
        }
    }
    runtime.call(&["delete", "--force", "other"]).ok();
    assert_nothing_left(&host, &runtime, "the other container");
}

#[test]
fn a_container_of_which_no_file_can_be_understood_is_cleared_by_what_libcontainer_wrote() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    for file in ["container.json", "config.json"] {
        let path = runtime.root().join(ID).join(file);
        host.inside(|| fs::write(path, "{")).unwrap().unwrap();
    }
    runtime.call(&["delete", "--force", ID]).ok();
    assert_nothing_left(&host, &runtime, "torn files");
}

#[test]
fn a_torn_record_hides_no_cgroup_on_a_host_with_v1_alone() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let unmounted = host.inside(|| {
        // What is not mounted there need not be taken away.
        let _ = umount2("/sys/fs/cgroup/unified", MntFlags::MNT_DETACH);
    });
    unmounted.unwrap();
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, sleeper()));
    let record = runtime.root().join(ID).join("container.json");
    host.inside(|| fs::write(record, "{")).unwrap().unwrap();
    runtime.call(&["delete", "--force", ID]).ok();
    assert_nothing_left(&host, &runtime, "a torn record");
}

#[test]
fn what_is_no_directory_of_a_container_is_not_listed_and_can_be_forced_away() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, ID, sleeper());
    let path = runtime.root().join(ID);
    // A link is not followed: neither to what it leads to, nor to where nothing is.
    let (elsewhere, kept) = (Path::new("/run/elsewhere"), "/run/elsewhere/kept");
    let traps: [(&str, &(dyn Fn() -> io::Result<()> + Sync)); 3] = [
        ("a file", &|| fs::write(&path, "")),
        ("a link", &|| symlink(elsewhere, &path)),
        ("a dangling link", &|| symlink("/run/nowhere", &path)),
    ];
    for (what, trap) in traps {
        let made = host.inside(|| {
            fs::create_dir_all(runtime.root())?;
            fs::create_dir_all(elsewhere)?;
            fs::write(kept, "")?;
            trap()
        });
        made.unwrap().unwrap();
        assert_eq!(runtime.call(&["list", "--quiet"]).ok(), "", "{what}");
        let message = runtime.create(&bundle).fails(1);
        assert!(message.contains("already exists"), "{what}: {message}");
        runtime.call(&["delete", "--force", ID]).ok();
        assert_nothing_left(&host, &runtime, what);
        let names = host.inside(|| fs::read_dir(elsewhere).map(Iterator::count));
        assert_eq!(names.unwrap().unwrap(), 1, "{what}");
    }
}

/// A process in a cgroup that the container froze itself dies on v1 only when that one is thawed.
#[test]
fn delete_by_force_kills_what_is_frozen_below_the_container() {
    for (cgroups, hierarchy, file, frozen) in [
        (Cgroups::V1, "freezer", "freezer.state", "FROZEN"),
        (Cgroups::V2, ".", "cgroup.freeze", "1"),
    ] {
        let Some(host) = require::host_with(mi300x::PRESET, cgroups) else {
            continue;
        };
        let runtime = Runtime::under_test(&host);
        // Without a PID namespace of its own the process does not die with the init.
        let spec = Spec::minimal()
            .args(&["sleep", "1000"])
            .set("/linux/namespaces", json!([{"type": "mount"}]));
        runtime.up(&Bundle::new(&host, ID, spec));
        runtime
            .call(&[
                "exec",
                "--detach",
                "--pid-file",
                "/run/pid",
                ID,
                "sleep",
                "2000",
            ])
            .ok();
        let below = format!(
            "/sys/fs/cgroup/{hierarchy}{}/{ID}/deep/below",
            host.cgroup()
        );
        // A pid means the host's process only to a process of the host.
        let freeze = format!(
            "mkdir -p {below} && cat /run/pid > {below}/cgroup.procs && rm /run/pid \
             && echo {frozen} > {below}/{file}"
        );
        let mut sh = Command::new("sh");
        Outcome::of(&host, sh.args(["-c", &freeze])).unwrap().ok();
        runtime.call(&["delete", "--force", ID]).ok();
        assert_nothing_left(&host, &runtime, hierarchy);
    }
}

#[test]
fn a_console_socket_that_a_killed_command_left_is_removed_by_the_next() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    // No process has a pid beyond the largest one (Linux, `PID_MAX_LIMIT`).
    let abandoned = runtime.root().join("console:4194305");
    host.inside(|| fs::create_dir_all(&abandoned))
        .unwrap()
        .unwrap();
    assert_eq!(runtime.call(&["list", "--quiet"]).ok(), "");
    let spec = Spec::docker()
        .args(&["true"])
        .set("/process/terminal", json!(true));
    runtime.run(&Bundle::new(&host, ID, spec)).ok();
    assert_nothing_left(&host, &runtime, "console");
}

/// A create that is killed between its build and its record leaves an init in a cgroup that was
/// there before: what is in it beside libcontainer's processes is not the container's.
#[test]
fn clearing_an_unfinished_create_spares_others_in_a_cgroup_that_was_there_before() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, ID, sleeper());
    runtime.create(&bundle).ok();
    let pid = runtime.state(ID)["pid"].clone();
    let path = runtime.root().join(ID).join("container.json");
    let stranger = format!(
        "echo $$ > /sys/fs/cgroup/pids{}/{ID}/cgroup.procs; exec sleep 3000",
        host.cgroup()
    );
    let mut stranger = host
        .spawn(Command::new("sh").args(["-c", &stranger]))
        .unwrap();
    eventually("the stranger is there", || {
        host.processes()
            .unwrap()
            .iter()
            .any(|line| line == "sleep 3000")
    });
    let unfinish = || -> anyhow::Result<()> {
        let mut record: serde_json::Value = serde_json::from_slice(&fs::read(&path)?)?;
        record["phase"] = json!("creating");
        record["sharedDirs"] = record["cgroupDirs"].clone();
        record.as_object_mut().map(|record| record.remove("init"));
        Ok(fs::write(&path, record.to_string())?)
    };
    host.inside(unfinish).unwrap().unwrap();
    runtime.call(&["delete", "--force", ID]).ok();
    assert!(
        stranger.try_wait().unwrap().is_none(),
        "the stranger was killed"
    );
    eventually("the init is gone", || {
        let init = format!("/proc/{pid}/cmdline");
        host.inside(|| fs::read(&init).map_or(true, |line| line.is_empty()))
            .unwrap()
    });
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn the_pid_file_of_a_killed_command_is_taken_by_the_next() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let bundle = Bundle::new(&host, ID, sleeper());
    let dir = bundle.path().to_string_lossy().into_owned();
    host.inside(|| fs::write("/run/.init.pid.new", "99"))
        .unwrap()
        .unwrap();
    let create: Outcome = runtime.call(&[
        "create",
        "--bundle",
        &dir,
        "--pid-file",
        "/run/init.pid",
        ID,
    ]);
    create.ok();
    let pid = host
        .inside(|| fs::read_to_string("/run/init.pid"))
        .unwrap()
        .unwrap();
    assert_eq!(pid, runtime.state(ID)["pid"].to_string());
    assert!(
        !host
            .inside(|| Path::new("/run/.init.pid.new").exists())
            .unwrap()
    );
}
