//! Limits and hierarchies of a container from its beginning.

use std::fs;
use std::path::Path;

use integration::bundle::Bundle;
use integration::host::Cgroups;
use integration::runtime::Runtime;
use integration::spec::Spec;
use integration::{mi300x, require};
use serde_json::json;

use crate::fixture::{ID, dir, host, sleeper, value};

#[test]
fn limits_of_the_spec_are_set() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let spec = sleeper()
        .set(
            "/linux/resources/memory",
            json!({
                "limit": 32 << 20, "reservation": 16 << 20, "swap": 64 << 20, "swappiness": 0,
                "disableOOMKiller": true,
            }),
        )
        .set(
            "/linux/resources/cpu",
            json!({
                "shares": 512, "quota": 50_000, "period": 100_000, "burst": 5_000, "cpus": "0",
            }),
        )
        .set("/linux/resources/pids", json!({"limit": 20}));
    runtime.create(&Bundle::new(&host, ID, spec)).ok();
    for (file, expected) in [
        ("memory.limit_in_bytes", (32 << 20).to_string()),
        ("memory.soft_limit_in_bytes", (16 << 20).to_string()),
        ("memory.memsw.limit_in_bytes", (64 << 20).to_string()),
        ("memory.swappiness", "0".into()),
        ("cpu.shares", "512".into()),
        ("cpu.cfs_quota_us", "50000".into()),
        ("cpu.cfs_period_us", "100000".into()),
        ("cpu.cfs_burst_us", "5000".into()),
        ("cpuset.cpus", "0".into()),
        ("pids.max", "20".into()),
    ] {
        assert_eq!(value(&host, file), expected, "{file}");
    }
    let oom = value(&host, "memory.oom_control");
    assert!(oom.contains("oom_kill_disable 1"), "{oom}");
}

/// The kernel fills them as they are made: to write them takes longer the more containers there are.
#[test]
fn cpusets_of_a_parent_that_was_made_for_them_have_its_cpus_and_others_are_written_theirs() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let below = |path: &str| format!("/sys/fs/cgroup/cpuset{}/{path}", host.cgroup());
    let read = |path: &str| {
        let text = host.inside(|| fs::read_to_string(below(path))).unwrap();
        text.unwrap().trim().to_owned()
    };
    // Somebody else's directories.
    let make = |dir: &str| {
        fs::create_dir(dir)?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let text = fs::read_to_string(Path::new("/sys/fs/cgroup/cpuset").join(file))?;
            fs::write(Path::new(dir).join(file), text)?;
        }
        std::io::Result::Ok(())
    };
    for dir in ["", "there"] {
        host.inside(|| make(&below(dir))).unwrap().unwrap();
    }
    for (id, parent) in [("a", "there"), ("b", "pod/of"), ("c", "pod/of")] {
        let path = format!("{}/{parent}/{id}", host.cgroup());
        let spec = sleeper().cgroups_path(&path);
        runtime.create(&Bundle::new(&host, id, spec)).ok();
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let text = read(&format!("{parent}/{id}/{file}"));
            assert_eq!(text, read(&format!("there/{file}")), "{id} {file}");
        }
        let made_for_them = read(&format!("{parent}/cgroup.clone_children"));
        let expected = if parent == "there" { "0" } else { "1" };
        assert_eq!(made_for_them, expected, "{parent}");
    }
    assert_eq!(read("cgroup.clone_children"), "0");
}

/// As runc has it: no process at all would not be a container.
#[test]
fn a_limit_of_no_tasks_is_one_task() {
    let Some(host) = require::host(mi300x::PRESET, Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let spec = sleeper().set("/linux/resources/pids", json!({"limit": 0}));
    runtime.create(&Bundle::new(&host, ID, spec)).ok();
    assert_eq!(value(&host, "pids.max"), "1");
}

/// As with runc: whoever looks after it can look into it.
#[test]
fn a_container_with_as_many_tasks_as_it_may_have_can_be_executed_in() {
    let hosts = [
        host(Cgroups::V1),
        require::host_with_unified_controllers(mi300x::PRESET),
    ];
    for host in hosts.into_iter().flatten() {
        let runtime = Runtime::under_test(&host);
        let spec = sleeper().set("/linux/resources/pids", json!({"limit": 1}));
        runtime.up(&Bundle::new(&host, ID, spec));
        let message = runtime.exec(ID, &["sh", "-c", "echo in; sleep 0 & wait"]);
        assert!(message.stdout.contains("in"), "{message}");
        // The limit is the container's all the same.
        assert!(message.stderr.contains("fork"), "{message}");
        runtime.call(&["delete", "--force", ID]).ok();
    }
}

#[test]
fn what_v2_has_no_limit_for_is_passed_over_and_other_limits_are_set() {
    let Some(host) = host(Cgroups::V2) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let spec = sleeper()
        .set(
            "/linux/resources/memory",
            json!({"swappiness": 60, "disableOOMKiller": true}),
        )
        .set("/linux/resources/unified", json!({"cgroup.max.depth": "3"}));
    runtime.create(&Bundle::new(&host, ID, spec)).ok();
    assert_eq!(value(&host, "cgroup.max.depth"), "3");
}

#[test]
fn a_limit_that_cannot_be_set_leaves_no_container() {
    for (cgroups, limit, words) in [
        (
            Cgroups::V1,
            json!({"unified": {"memory.max": "1"}}),
            "invalid configuration",
        ),
        (
            Cgroups::V1,
            json!({"memory": {"swappiness": 101}}),
            "invalid memory swappiness value",
        ),
        (
            Cgroups::V1,
            json!({"cpu": {"period": 100}}),
            "cpu.cfs_period_us",
        ),
        (
            Cgroups::V2,
            json!({"memory": {"swap": 5}}),
            "swap limit without memory limit",
        ),
        (
            Cgroups::V2,
            json!({"unified": {"a/b": "1"}}),
            "must be a file name (no slashes)",
        ),
    ] {
        let Some(host) = host(cgroups) else { continue };
        let runtime = Runtime::under_test(&host);
        let mut spec = sleeper();
        for (section, value) in limit.as_object().unwrap() {
            spec = spec.set(&format!("/linux/resources/{section}"), value.clone());
        }
        let stderr = runtime.create(&Bundle::new(&host, ID, spec)).fails(1);
        assert!(stderr.contains(words), "{limit}: {stderr}");
        assert_eq!(
            host.cgroups().unwrap(),
            [""; 0].map(std::path::PathBuf::from),
            "{limit}"
        );
        assert_eq!(host.processes().unwrap(), [""; 0], "{limit}");
    }
}

/// Also `name=systemd` and, beside v1, the unified one: libcontainer leaves these out.
#[test]
fn a_container_is_in_its_cgroup_of_every_hierarchy() {
    let Some(host) = host(Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let own = format!("{}/{ID}", host.cgroup());
    let elsewhere = |table: &str| {
        let lines = table.lines().filter(|line| !line.ends_with(&own));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let plain = Spec::docker().args(&["sleep", "1000"]);
    // With a hook of the runtime's the runtime stays where it is.
    let hooked = plain.clone().hook("createRuntime", "/bin/true", &["true"]);
    for spec in [plain, hooked] {
        runtime.up(&Bundle::new(&host, ID, spec));
        let pid = runtime.state(ID)["pid"].to_string();
        let read = || fs::read_to_string(format!("/proc/{pid}/cgroup"));
        let table = host.inside(read).unwrap().unwrap();
        assert_eq!(elsewhere(&table), [""; 0], "{table}");
        let table = runtime.exec(ID, &["cat", "/proc/self/cgroup"]).ok();
        assert_eq!(elsewhere(&table), [""; 0], "{table}");
        runtime.call(&["delete", "--force", ID]).ok();
        assert_eq!(host.cgroups().unwrap().len(), 0);
    }
}

#[test]
fn a_container_with_a_cgroup_namespace_is_at_the_root_of_every_hierarchy() {
    for cgroups in [Cgroups::V1, Cgroups::V2] {
        let Some(host) = host(cgroups) else { continue };
        let spec = Spec::docker()
            .push("/linux/namespaces", json!({"type": "cgroup"}))
            .args(&["cat", "/proc/self/cgroup"]);
        let table = Runtime::under_test(&host)
            .run(&Bundle::new(&host, ID, spec))
            .ok();
        let elsewhere: Vec<_> = table.lines().filter(|line| !line.ends_with(":/")).collect();
        assert_eq!(elsewhere, [""; 0], "{table}");
    }
}

/// With a namespace for it, and by a mount of all that the host has.
#[test]
fn what_a_container_sees_of_cgroup_v2_is_all_of_it_and_nothing_covered() {
    let Some(host) = host(Cgroups::V2) else {
        return;
    };
    let own = "/sys/fs/cgroup/cgroup.procs";
    let path = format!("/sys/fs/cgroup{}/cgroup.procs", "/made/here");
    for (namespaces, procs) in [(&["cgroup"][..], own), (&[], &path)] {
        let spec = namespaces
            .iter()
            .fold(Spec::docker(), |spec, kind| {
                spec.push("/linux/namespaces", json!({"type": kind}))
            })
            .set("/linux/cgroupsPath", json!("/made/here"))
            .sh(&format!(
                "cat {procs}; stat -f -c %t /sys/fs/cgroup; stat -f -c %t {procs}"
            ));
        let seen = Runtime::under_test(&host)
            .run(&Bundle::new(&host, ID, spec))
            .ok();
        let lines: Vec<_> = seen.lines().collect();
        let cgroup2 = "63677270";
        assert_eq!(lines[lines.len() - 2..], [cgroup2, cgroup2], "{seen}");
        let pids = &lines[..lines.len() - 2];
        assert!(pids.contains(&"1"), "{seen}");
    }
}

#[test]
fn a_frozen_cgroup_is_refused_and_left() {
    for (cgroups, hierarchy, file, frozen) in [
        (Cgroups::V1, "freezer", "freezer.state", "FROZEN"),
        (Cgroups::V2, ".", "cgroup.freeze", "1"),
    ] {
        let Some(host) = host(cgroups) else { continue };
        let runtime = Runtime::under_test(&host);
        let dir = dir(&host, hierarchy);
        host.inside(|| {
            fs::create_dir_all(&dir)?;
            fs::write(dir.join(file), frozen)
        })
        .unwrap()
        .unwrap();
        let stderr = runtime.create(&Bundle::new(&host, ID, sleeper())).fails(1);
        assert!(
            stderr.contains("container's cgroup unexpectedly frozen"),
            "{stderr}"
        );
        assert!(host.inside(|| dir.is_dir()).unwrap());
    }
}

/// An image decides how much that is.
#[test]
fn what_is_copied_from_the_image_into_a_tmpfs_counts_against_the_memory_of_the_container() {
    let Some(host) = require::host(mi300x::PRESET, Cgroups::V1) else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let spec = |option: &str| {
        let tmpfs = json!({"destination": "/data", "type": "tmpfs", "options": [option]});
        Spec::docker()
            .args(&["true"])
            .push("/mounts", tmpfs)
            .set("/linux/resources/memory", json!({"limit": 16 << 20}))
    };
    let bundle = |option| {
        let bundle = Bundle::new(&host, ID, spec(option));
        let data = bundle.in_rootfs("/data");
        host.inside(|| {
            fs::create_dir(&data).unwrap();
            fs::write(data.join("large"), vec![1; 48 << 20]).unwrap();
        })
        .unwrap();
        bundle
    };
    runtime.run(&bundle("nosuid")).ok();
    assert_ne!(runtime.run(&bundle("tmpcopyup")).code, 0);
}
