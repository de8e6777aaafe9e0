//! Services that reserve GPUs, on a swarm of one node.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::BTreeSet;

use integration::configure::configure;
use integration::docker::{self, Docker};
use integration::mi300x::{self, listing, nodes};
use integration::probe::{self, SHELL, Seen};
use integration::require;
use integration::runtime::eventually;

use crate::fixture::{ctk, host, status};

#[test]
fn a_service_gets_the_gpus_that_swarm_assigns_and_no_others() {
    if !require::programs(&docker::PROGRAMS) || !require::programs(&["unshare"]) {
        return;
    }
    let Some(host) = host() else { return };
    configure(&host, "docker", &["--swarm", "--set-as-default"]).ok();
    ctk(&host, &["enable"]).ok();
    let docker = Docker::start_swarm(&host);
    let script = format!("{SHELL}gpus; {}; echo end; sleep 1000", mi300x::forge(7));
    for (name, count) in [("two", "2"), ("three", "3")] {
        let words = ["service", "create", "--detach", "--no-resolve-image"];
        let resource = format!("AMD_GPU={count}");
        let options = ["--network", "host", "--generic-resource", &resource];
        let program = ["--name", name, docker::IMAGE, "sh", "-c", &script];
        docker.call(&[&words[..], &options, &program].concat()).ok();
    }
    let mut all = BTreeSet::new();
    for (name, count) in [("two", 2), ("three", 3)] {
        let filter = format!("label=com.docker.swarm.service.name={name}");
        let id = || docker.call(&["ps", "--quiet", "--no-trunc", "--filter", &filter]);
        let mut output = String::new();
        eventually("the service has looked", || {
            let id = id().ok();
            if id.trim().is_empty() {
                return false;
            }
            output = docker.call(&["logs", id.trim()]).ok();
            output.contains("end\n")
        });
        let id = id().ok().trim().to_owned();
        let inspect = ["inspect", "--format", "{{json .Config.Env}}", &id];
        let env = docker.call(&inspect).ok();

        // What Swarm has assigned, by their UUIDs.
        let status = status(&host);
        let gpus = status["gpus"].as_array().unwrap();
        let assigned: Vec<usize> = (0..gpus.len())
            .filter(|&index| env.contains(gpus[index]["uuid"].as_str().unwrap()))
            .collect();
        assert_eq!(assigned.len(), count, "{env}");
        let seen = probe::parse(output.trim_end_matches("end\n"));
        let (forged, granted): (Vec<Seen>, Vec<Seen>) = seen
            .into_iter()
            .partition(|node| node.to_string().contains("forged"));
        assert_eq!(listing(&granted), nodes(&assigned));
        if !assigned.contains(&7) {
            assert!(forged.iter().all(Seen::denied), "{forged:#?}");
        }
        for index in assigned {
            let holders = gpus[index]["containers"].as_array().unwrap();
            assert_eq!(holders.len(), 1);
            assert_eq!(holders[0]["id"], *id);
            assert!(all.insert(index), "GPU {index} was assigned twice");
        }
    }
    docker.call(&["service", "rm", "two", "three"]).ok();
    eventually("the GPUs are free", || {
        let status = status(&host);
        let gpus = status["gpus"].as_array().unwrap();
        gpus.iter()
            .all(|gpu| gpu["containers"].as_array().unwrap().is_empty())
    });

    drop(docker);
    let removed = configure(&host, "docker", &["--remove"]).ok();
    assert!(removed.contains("daemon.json"), "{removed}");
}
