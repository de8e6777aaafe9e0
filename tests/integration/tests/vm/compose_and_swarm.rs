//! Docker's own ways beside `docker run`: Compose, Swarm's generic resources, BuildKit's devices.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use serial_test::serial;

use super::machine::{Daemon, GRANTED, IMAGE, PROBE, in_vm, ok, run};

/// The ways to ask in a compose file, as JSON, which YAML is.
fn ways() -> [(&'static str, Value); 3] {
    let of_cdi = json!({"driver": "cdi", "capabilities": ["gpu"], "device_ids": ["amd.com/gpu=0"]});
    let reservations = json!({"reservations": {"devices": [of_cdi]}});
    [
        (
            "runtime",
            json!({"runtime": "amd", "environment": {"AMD_VISIBLE_DEVICES": "0"}}),
        ),
        ("device", json!({"devices": ["amd.com/gpu=0"]})),
        (
            "reservation",
            json!({"deploy": {"resources": reservations}}),
        ),
    ]
}

#[test]
#[serial]
fn compose_gives_the_gpu_by_runtime_by_device_and_by_reservation() {
    if in_vm() {
        compose_gives_the_gpu();
    }
}

/// Compose in each way, as root and as another user.
pub fn compose_gives_the_gpu() {
    let (file, seen) = ("/root/compose.yml", "/root/seen");
    run(&["rm", "-rf", seen]);
    fs::create_dir(seen).unwrap();
    fs::set_permissions(seen, Permissions::from_mode(0o777)).unwrap();
    let mut services = Map::new();
    for (way, service) in ways() {
        for user in ["0", "1000"] {
            let mut service = service.clone();
            let name = format!("{way}-{user}");
            // Compose takes $ for its own.
            let probe = PROBE.replace('$', "$$");
            let probe = format!("( {probe} ) >/seen/{name}");
            service["image"] = json!("busybox");
            service["network_mode"] = json!("none");
            service["user"] = json!(user);
            service["volumes"] = json!([format!("{seen}:/seen")]);
            service["command"] = json!(["sh", "-c", probe]);
            services.insert(name, service);
        }
    }
    let names: Vec<_> = services.keys().cloned().collect();
    fs::write(file, json!({"services": services}).to_string()).unwrap();
    ok(&["docker", "compose", "-f", file, "up"]);
    for name in names {
        let seen = fs::read_to_string(format!("{seen}/{name}"));
        assert_eq!(seen.unwrap(), GRANTED, "{name}");
    }
    ok(&["docker", "compose", "-f", file, "down"]);
}

/// A swarm of this node alone, until it is dropped.
struct Swarm;

impl Drop for Swarm {
    fn drop(&mut self) {
        run(&["docker", "swarm", "leave", "--force"]);
    }
}

/// What `ask` says, once it says something.
#[track_caller]
fn awaited(what: &str, ask: impl Fn() -> String) -> String {
    let begin = Instant::now();
    loop {
        let said = ask().trim().to_owned();
        if !said.is_empty() {
            return said;
        }
        assert!(begin.elapsed() < Duration::from_secs(120), "no {what}");
        sleep(Duration::from_millis(500));
    }
}

/// The probe for the GPU that a UUID names, and another.
fn probe_of(uuid: &str) -> String {
    let list = ok(&["amd-ctk", "gpu", "list"]);
    let minor = |line: &str| {
        line.split("renderD")
            .nth(1)
            .map(|rest| rest[..3].to_owned())
    };
    let (own, others): (Vec<_>, Vec<_>) = list
        .lines()
        .filter(|line| line.contains("renderD"))
        .partition(|line| line.contains(uuid));
    let (own, other) = (minor(own[0]).unwrap(), minor(others[0]).unwrap());
    PROBE
        .replace("renderD128", &format!("renderD{own}"))
        .replace("226 129", &format!("226 {other}"))
        .replace("renderD129", &format!("renderD{other}"))
}

#[test]
#[serial]
fn a_swarm_service_gets_the_gpu_that_it_reserved_and_no_other() {
    if in_vm() {
        a_swarm_service_gets_its_gpu("systemd");
    }
}

#[test]
#[serial]
fn under_the_cgroupfs_driver_a_swarm_service_gets_the_gpu_that_it_reserved_and_no_other() {
    if !in_vm() {
        return;
    }
    let _daemon = Daemon::with(&json!({"exec-opts": ["native.cgroupdriver=cgroupfs"]}));
    a_swarm_service_gets_its_gpu("cgroupfs");
}

fn a_swarm_service_gets_its_gpu(driver: &str) {
    let _daemon = Daemon::configured_by(&[
        "amd-ctk",
        "runtime",
        "configure",
        "--runtime=docker",
        "--swarm",
        "--set-as-default",
    ]);
    assert!(ok(&["docker", "info"]).contains(&format!("Cgroup Driver: {driver}")));
    ok(&["docker", "swarm", "init", "--advertise-addr", "127.0.0.1"]);
    let _swarm = Swarm;
    ok(&[
        "docker",
        "service",
        "create",
        "--detach",
        "--name=reserving",
        "--no-resolve-image",
        "--generic-resource=AMD_GPU=1",
        IMAGE,
        "sleep",
        "1000000",
    ]);
    let of_service = "label=com.docker.swarm.service.name=reserving";
    let container = awaited("task", || {
        ok(&["docker", "ps", "-q", "--filter", of_service])
    });
    let variable = "echo $DOCKER_RESOURCE_AMD_GPU";
    let uuid = ok(&["docker", "exec", &container, "sh", "-c", variable]);
    let probe = probe_of(uuid.trim());
    let seen = || ok(&["docker", "exec", &container, "sh", "-c", &probe]);
    assert_eq!(seen(), GRANTED);
    ok(&["systemctl", "daemon-reload"]);
    ok(&["docker", "pause", &container]);
    ok(&["docker", "unpause", &container]);
    assert_eq!(seen(), GRANTED, "after daemon-reload and pause");
}

#[test]
#[serial]
fn buildkit_knows_the_devices_and_its_own_frontend_does_not() {
    if !in_vm() {
        return;
    }
    let builder = ok(&["docker", "buildx", "inspect"]);
    let devices = builder.split("Devices:").nth(1).unwrap_or_default();
    assert!(devices.contains("amd.com/gpu=0"), "{builder}");
    assert!(devices.contains("Automatically allowed: true"), "{builder}");
    // `RUN --device` is of a frontend that is an image in a registry.
    let context = "/root/build";
    fs::create_dir_all(context).unwrap();
    let file = format!("FROM {IMAGE}\nRUN --device=amd.com/gpu=0 true\n");
    fs::write(format!("{context}/Dockerfile"), file).unwrap();
    let built = run(&["docker", "build", context]);
    let error = String::from_utf8_lossy(&built.stderr);
    assert!(
        error.contains("only supported in Dockerfile frontend"),
        "{error}"
    );
}
