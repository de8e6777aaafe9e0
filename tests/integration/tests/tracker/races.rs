//! Many creates for one exclusive GPU.
//!
//! The suite runs a sample; `TRACKER_ROUNDS=100 cargo nextest run -p integration --test tracker -E
//! 'test(races)'` is what convinces.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use integration::host::SimulatedHost;
use integration::outcome::code;
use integration::runtime::{Runtime, eventually};
use serde_json::{Value, json};

use crate::fixture::{bundle, holders, host_with_exclusive, sleeper};

const MANY: usize = 64;

fn rounds() -> usize {
    let rounds = std::env::var("TRACKER_ROUNDS").ok();
    rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(1)
}

/// Bundles that have one root filesystem, so that there can be many.
fn bundles(host: &SimulatedHost) -> Vec<String> {
    let rootfs = bundle(host, "rootfs", "0").in_rootfs("/");
    let ids: Vec<_> = (0..MANY).map(|n| format!("c{n}")).collect();
    host.inside(|| {
        for id in &ids {
            let spec = sleeper("0")
                .set("/root/path", json!(rootfs.to_str().unwrap()))
                .cgroups_path(&format!("{}/{id}", host.cgroup()));
            let dir = Path::new("/run/bundles").join(id);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("config.json"), spec.json().to_string()).unwrap();
        }
    })
    .unwrap();
    ids
}

fn start_all(host: &SimulatedHost, runtime: &Runtime<'_>, ids: &[String]) -> Vec<Child> {
    let start = |id: &String| {
        let dir = format!("/run/bundles/{id}");
        let mut create = runtime.command(&["create", "--bundle", &dir, id]);
        let quiet = create.stdout(Stdio::null()).stderr(Stdio::null());
        host.spawn(quiet).unwrap()
    };
    ids.iter().map(start).collect()
}

fn codes(children: Vec<Child>) -> BTreeMap<i32, usize> {
    let mut codes = BTreeMap::new();
    for mut child in children {
        *codes.entry(code(child.wait().unwrap())).or_default() += 1;
    }
    codes
}

#[test]
fn of_64_creates_for_one_exclusive_gpu_one_wins_every_time() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let ids = bundles(&host);
    for round in 0..rounds() {
        // The index is made anew in every other round, as after a boot.
        if round % 2 == 0 {
            let lost = host.inside(|| fs::remove_dir_all("/run/amd-gpu-tracker"));
            lost.unwrap().unwrap();
        }
        let codes = codes(start_all(&host, &runtime, &ids));
        assert_eq!(codes, BTreeMap::from([(0, 1), (1, MANY - 1)]), "{round}");
        let [winner] = &holders(&host, 0)[..] else {
            panic!("round {round}: not one holder")
        };
        runtime.call(&["delete", "--force", winner]).ok();
        assert_eq!(holders(&host, 0), Vec::<String>::new());
    }
    println!("{} rounds of {MANY} creates, one winner in each", rounds());
}

#[test]
fn while_winners_are_killed_no_two_hold_the_gpu_and_each_has_a_successor() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let ids = bundles(&host);
    for _ in 0..rounds() {
        for (turn, ids) in ids.chunks(8).enumerate() {
            let children = start_all(&host, &runtime, ids);
            let codes = codes(children);
            assert_eq!(codes, BTreeMap::from([(0, 1), (1, 7)]), "turn {turn}");
            let [winner] = &holders(&host, 0)[..] else {
                panic!("turn {turn}: not one holder")
            };
            // Its init is killed, and nobody deletes it: it holds nothing any more.
            let pid = runtime.state(winner)["pid"].to_string();
            let mut kill = Command::new("kill");
            let killed = host.spawn(kill.args(["-KILL", &pid])).unwrap().wait();
            assert!(killed.unwrap().success());
            eventually("the winner is gone", || {
                runtime.state(winner)["status"] == "stopped"
            });
            assert_eq!(holders(&host, 0), Vec::<String>::new());
        }
        let list: Value =
            serde_json::from_str(&runtime.call(&["list", "--format", "json"]).ok()).unwrap();
        let left = list.as_array().unwrap();
        assert_eq!(left.len(), MANY / 8, "{list}");
        for container in left {
            let id = container["id"].as_str().unwrap();
            runtime.call(&["delete", "--force", id]).ok();
        }
    }
}

#[test]
fn creates_and_killed_creates_and_deletes_at_once_never_share_the_gpu() {
    let Some(host) = host_with_exclusive("0") else {
        return;
    };
    let runtime = Runtime::under_test(&host);
    let ids = bundles(&host);
    for _ in 0..rounds() {
        let mut children = start_all(&host, &runtime, &ids[..16]);
        // Every other create is killed wherever it is; what it held is free for the rest.
        for child in children.iter_mut().step_by(2) {
            child.kill().unwrap();
        }
        let codes = codes(children);
        assert!(codes.get(&0).copied().unwrap_or(0) <= 1, "{codes:?}");
        assert!(holders(&host, 0).len() <= 1);
        for id in &ids[..16] {
            runtime.call(&["delete", "--force", id]).ok();
        }
        assert_eq!(holders(&host, 0), Vec::<String>::new());
        runtime.up(&bundle(&host, "next", "0"));
        runtime.call(&["delete", "--force", "next"]).ok();
    }
}
