//! The host's cgroups, as a volume and as what its init is in.

use std::process::Command;

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::outcome::Outcome;
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use nix::mount::{MntFlags, umount2};

use crate::fixture::{inside, run, with_mount};

const ROOT: &str = "/sys/fs/cgroup";

/// Prints the processes of the container's cgroup in a hierarchy of the volume /host.
fn processes_of(controller: &str, mount: &str) -> String {
    format!(
        "path=$(sed -n 's/^[0-9]*:{controller}://p' /proc/self/cgroup); \
         cat \"/host{mount}$path/cgroup.procs\""
    )
}

fn with_volume() -> Spec {
    with_mount(Spec::minimal(), "bind", ROOT, "/host", "rbind,ro")
}

#[track_caller]
fn assert_has_init(processes: &str) {
    assert!(processes.lines().any(|pid| pid == "1"), "{processes:?}");
}

fn host(cgroups: Cgroups) -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, cgroups)
}

#[test]
fn a_volume_of_the_hosts_cgroups_shows_the_containers_processes() {
    for (cgroups, controller, mount) in [(Cgroups::V1, "pids", "/pids"), (Cgroups::V2, "", "")] {
        let Some(host) = require::host_with(mi300x::PRESET, cgroups) else {
            continue;
        };
        let processes = run(&host, with_volume(), &processes_of(controller, mount));
        assert_has_init(&processes);
    }
}

#[test]
fn a_volume_of_the_hosts_cgroups_has_all_that_is_mounted_there() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let mut names: Vec<String> = inside(&host, || {
        let entries = std::fs::read_dir(ROOT)?;
        Ok(entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect())
    });
    // Those of other tests come and go.
    let others = |name: &str| name.starts_with("simulated-host");
    names.retain(|name| !others(name));
    names.sort();
    let seen = run(&host, with_volume(), "ls -1 /host | sort");
    let seen: Vec<_> = seen.lines().filter(|name| !others(name)).collect();
    assert_eq!(seen, names);
}

#[test]
fn on_a_host_with_v1_alone_a_container_is_in_its_cgroups() {
    let Some(host) = require::host_with(mi300x::PRESET, Cgroups::V1) else {
        return;
    };
    inside(&host, || {
        // What is not mounted there need not be taken away.
        let _ = umount2("/sys/fs/cgroup/unified", MntFlags::MNT_DETACH);
        Ok(())
    });
    let processes = run(&host, with_volume(), &processes_of("pids", "/pids"));
    assert_has_init(&processes);
}

#[test]
fn a_container_is_in_its_cgroups_before_it_is_started() {
    for cgroups in [Cgroups::V1, Cgroups::V2] {
        let Some(host) = require::host_with(mi300x::PRESET, cgroups) else {
            continue;
        };
        let runtime = Runtime::under_test(&host);
        let bundle = Bundle::new(&host, "c", Spec::minimal());
        runtime.create(&bundle).ok();
        let state = runtime.state("c");
        let cgroup = |pid: &str| {
            let mut cat = Command::new("cat");
            Outcome::of(&host, cat.arg(format!("/proc/{pid}/cgroup")))
                .unwrap()
                .ok()
        };
        let (own, its) = (cgroup("self"), cgroup(&state["pid"].to_string()));
        let hierarchy = match cgroups {
            Cgroups::V1 => ":pids:",
            Cgroups::V2 => "0::",
        };
        let find = |text: &str| {
            let mut lines = text.lines();
            lines.find(|l| l.contains(hierarchy)).map(str::to_owned)
        };
        assert_ne!(find(&own), find(&its), "{its}");
    }
}
