//! The simulated host itself: what runs on it sees it, and nothing of it stays.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use integration::host::{Cgroups, Host, PRESETS, SimulatedHost};
use integration::mi300x;
use integration::outcome::Outcome;
use integration::require;
use integration::runtime::eventually;

const PROGRAM: &str = env!("CARGO_BIN_EXE_simulated-host");

fn host(cgroups: Cgroups) -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, cgroups)
}

/// `simulated-host` with words, run on the machine itself.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn simulated_host(words: &[&str]) -> (i32, String) {
    let output = Command::new(PROGRAM)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let code = integration::outcome::code(output.status);
    (code, String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn every_preset_starts() {
    for preset in PRESETS {
        let Some(host) = require::host(preset, Cgroups::V2) else {
            return;
        };
        let expected: Vec<PathBuf> = Host::preset(preset)
            .iter()
            .flat_map(Host::nodes)
            .map(|node| node.path)
            .collect();
        let there = host
            .inside(|| expected.iter().filter(|node| node.exists()).count())
            .unwrap();
        assert_eq!(there, expected.len(), "{preset}");
    }
}

#[test]
fn sys_has_the_simulated_gpus() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let list = || {
        fs::read_dir("/sys/bus/pci/drivers/amdgpu")
            .unwrap()
            .flatten()
            .count()
    };
    // Eight links beside bind, module, new_id, remove_id, uevent, unbind.
    assert_eq!(host.inside(list).unwrap(), 8 + 6);
}

#[test]
fn sys_has_the_rest_of_the_machine() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    for path in [
        "/sys/class/net/lo/mtu",
        "/sys/devices/system/cpu/online",
        "/sys/kernel/mm",
    ] {
        assert!(host.inside(|| Path::new(path).exists()).unwrap(), "{path}");
    }
}

#[test]
fn the_machine_is_as_it_was() {
    let Some(host) = host(Cgroups::V2) else {
        return;
    };
    let look = || {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        (
            mounts,
            Path::new("/etc/made-on-the-host").exists(),
            Path::new("/run/made").exists(),
        )
    };
    let before = look();
    let write = || {
        fs::write("/etc/made-on-the-host", "")?;
        fs::write("/run/made", "")
    };
    host.inside(write).unwrap().unwrap();
    assert_eq!(look(), before);
    assert!(!before.1 && !before.2);
}

#[test]
fn pure_v2_is_one_hierarchy() {
    let Some(host) = host(Cgroups::V2) else {
        return;
    };
    let mounts = host
        .inside(|| fs::read_to_string("/proc/1/mounts"))
        .unwrap()
        .unwrap();
    let cgroups: Vec<&str> = mounts
        .lines()
        .filter(|line| line.contains("cgroup"))
        .collect();
    assert_eq!(cgroups.len(), 1, "{cgroups:?}");
    assert!(
        cgroups[0].starts_with("cgroup2 /sys/fs/cgroup cgroup2 "),
        "{cgroups:?}"
    );
}

#[test]
fn processes_are_those_of_the_host_alone() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    assert_eq!(host.processes().unwrap(), [""; 0]);
    let mut sleep = host.spawn(Command::new("sleep").arg("1000")).unwrap();
    eventually("the program is seen", || {
        host.processes().unwrap() == ["sleep 1000"]
    });
    sleep.kill().unwrap();
    sleep.wait().unwrap();
}

#[test]
fn all_that_runs_on_a_host_ends_with_it() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let script = "sleep 987654321 >/dev/null 2>&1 & setsid sleep 987654321 >/dev/null 2>&1 &";
    Outcome::of(&host, Command::new("sh").args(["-c", script]))
        .unwrap()
        .ok();
    eventually("both programs run", || machines_processes("987654321") == 2);
    drop(host);
    assert_eq!(machines_processes("987654321"), 0);
}

#[test]
fn cgroups_of_a_host_go_with_it() {
    let Some(host) = host(Cgroups::V2) else {
        return;
    };
    let script = "mkdir -p /sys/fs/cgroup$0/a/b && echo $$ > /sys/fs/cgroup$0/a/b/cgroup.procs &&
        { sleep 1000 >/dev/null 2>&1 & }";
    let mut sh = Command::new("sh");
    Outcome::of(&host, sh.args(["-c", script, host.cgroup()]))
        .unwrap()
        .ok();
    assert_eq!(host.cgroups().unwrap().len(), 2);
    let name = host.cgroup().trim_start_matches('/').to_owned();
    assert_eq!(machines_cgroups(&name), 1);
    drop(host);
    assert_eq!(machines_cgroups(&name), 0);
}

#[test]
fn a_host_goes_down_when_its_program_is_killed() {
    if !require::root() {
        return;
    }
    let script =
        "mkdir /sys/fs/cgroup$SIMULATED_HOST_CGROUP; echo $SIMULATED_HOST_CGROUP; sleep 123454321";
    let mut program = Command::new(PROGRAM)
        .args(["--cgroup", "v2", "--", "sh", "-c", script])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut name = String::new();
    BufReader::new(program.stdout.take().unwrap())
        .read_line(&mut name)
        .unwrap();
    let name = name.trim().trim_start_matches('/');
    assert_eq!(machines_cgroups(name), 1);
    program.kill().unwrap();
    program.wait().unwrap();
    eventually("its processes end", || machines_processes("123454321") == 0);
    eventually("its cgroups go", || machines_cgroups(name) == 0);
}

#[test]
fn the_program_lists_its_presets() {
    let (code, output) = simulated_host(&["--list"]);
    assert_eq!(
        (code, output.lines().collect::<Vec<_>>()),
        (0, PRESETS.to_vec())
    );
}

#[test]
fn the_program_passes_the_exit_code_on() {
    if !require::root() {
        return;
    }
    assert_eq!(simulated_host(&["--", "sh", "-c", "exit 7"]).0, 7);
    assert_eq!(simulated_host(&["--", "sh", "-c", "kill -KILL $$"]).0, 137);
}

#[test]
fn the_program_runs_on_the_preset_that_is_asked_for() {
    if !require::root() {
        return;
    }
    let words = ["--preset", "mi300x-1-dpx", "--", "ls", "/dev/dri"];
    let (code, output) = simulated_host(&words);
    assert_eq!(code, 0);
    assert!(output.contains("renderD129"), "{output}");
}

#[test]
fn an_unknown_preset_is_an_error() {
    assert_ne!(simulated_host(&["--preset", "mi9000", "--", "true"]).0, 0);
}

/// Processes of the machine, this one's children included, with a word in their command
/// line as an argument.
fn machines_processes(word: &str) -> usize {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok())
        .filter(|line| line.split('\0').any(|argument| argument == word))
        .count()
}

/// cgroups of the machine of that name, in the root of the unified hierarchy.
fn machines_cgroups(name: &str) -> usize {
    integration::cgroup::hierarchies()
        .into_iter()
        .flatten()
        .filter(|hierarchy| hierarchy.join(name).is_dir())
        .count()
}
