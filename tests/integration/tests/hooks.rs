//! Hooks: when they run, what they are told, and what becomes of their failures.

use std::fs;

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::require;
use integration::runtime::{Runtime, eventually};
use integration::spec::Spec;
use serde_json::{Value, json};

const ID: &str = "c";
/// Of the host: hooks write what they see here.
const SEEN: &str = "/run/seen";

fn host() -> Option<SimulatedHost> {
    let host = require::host(mi300x::PRESET, Cgroups::V1)?;
    let made = host.inside(|| fs::create_dir(SEEN));
    assert!(made.is_ok_and(|made| made.is_ok()));
    Some(host)
}

/// A hook that writes its working directory, environment and input below `dir`.
fn witness(point: &str, dir: &str) -> Value {
    let script = format!(
        "exec 2>&1; cd_is=$(pwd); {{ echo $cd_is; env | grep -E '^(OWN|IMAGE|LD_)' | sort | tr '\\n' ' '; \
         echo; cat; }} > {dir}/{point}"
    );
    json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["OWN=1", "PATH=/bin:/usr/bin"]})
}

#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn seen(host: &SimulatedHost, path: &str) -> (String, String, Value) {
    let text = host.inside(|| fs::read_to_string(path)).unwrap().unwrap();
    let mut lines = text.splitn(3, '\n').map(str::to_owned);
    let mut next = || lines.next().unwrap();
    let (dir, env) = (next(), next());
    (dir, env, serde_json::from_str(&next()).unwrap())
}

#[test]
fn hooks_are_told_the_callers_bundle_the_status_and_the_pid() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let mut spec = Spec::docker()
        .env("IMAGE=1")
        .env("LD_PRELOAD=/evil.so")
        .env("AMD_VISIBLE_DEVICES=0")
        .annotation("org.example.key", "value")
        .args(&["sleep", "1000"]);
    for point in [
        "prestart",
        "createRuntime",
        "createContainer",
        "poststart",
        "poststop",
    ] {
        spec = spec.push(&format!("/hooks/{point}"), witness(point, SEEN));
    }
    spec = spec.push("/hooks/startContainer", witness("startContainer", "/out"));
    let bundle = Bundle::new(&host, ID, spec);
    runtime.create(&bundle).ok();
    let pid = runtime.state(ID)["pid"].clone();
    runtime.start(ID).ok();
    // What startContainer hooks do, they do before the program.
    eventually("the program runs", || {
        let processes = host.processes().unwrap();
        processes.iter().any(|line| line.starts_with("sleep"))
    });
    runtime.call(&["delete", "--force", ID]).ok();

    let rootfs = bundle.in_rootfs("/");
    let (bundle_dir, rootfs) = (bundle.path().to_str().unwrap(), rootfs.to_str().unwrap());
    let rootfs = rootfs.trim_end_matches('/');
    for (point, status, its_pid, dir) in [
        ("prestart", "creating", pid.clone(), Some(bundle_dir)),
        ("createRuntime", "creating", pid.clone(), Some(bundle_dir)),
        ("createContainer", "creating", json!(1), Some(rootfs)),
        ("startContainer", "created", json!(1), Some("/")),
        ("poststart", "running", pid, None),
        ("poststop", "stopped", Value::Null, None),
    ] {
        let path = match point {
            "startContainer" => format!("{rootfs}/out/{point}"),
            _ => format!("{SEEN}/{point}"),
        };
        let (its_dir, env, state) = seen(&host, &path);
        assert_eq!(state["status"], status, "{point}");
        assert_eq!(state["pid"], its_pid, "{point}");
        assert_eq!(state["id"], ID, "{point}");
        assert_eq!(state["bundle"], bundle_dir, "{point}");
        assert_eq!(state["annotations"]["org.example.key"], "value", "{point}");
        assert_eq!(env.trim(), "OWN=1", "{point}");
        if let Some(dir) = dir {
            assert_eq!(its_dir, dir, "{point}");
        }
    }
}

#[test]
fn a_hook_that_names_no_environment_has_none_but_in_the_container_its_programs() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let env =
        |path: &str| json!({"path": "/bin/sh", "args": ["sh", "-c", format!("env > {path}")]});
    let spec = Spec::docker()
        .env("IMAGE=1")
        .env("LD_PRELOAD=/evil.so")
        .push("/hooks/createContainer", env("/run/seen/createContainer"))
        .push("/hooks/startContainer", env("/out/startContainer"));
    let bundle = Bundle::new(&host, ID, spec);
    runtime.run(&bundle).ok();
    let read = |path: &str| host.inside(|| fs::read_to_string(path)).unwrap().unwrap();
    let of_host = read("/run/seen/createContainer");
    assert!(
        !of_host.contains("IMAGE") && !of_host.contains("evil"),
        "{of_host}"
    );
    let of_container = bundle.read("/out/startContainer").unwrap();
    for variable in ["IMAGE=1", "PATH=/bin", "HOME=/root"] {
        assert!(
            of_container.lines().any(|line| line == variable),
            "{of_container}"
        );
    }
}

#[test]
fn hooks_have_no_files_but_their_standard_streams() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let points = [
        ("prestart", SEEN),
        ("createRuntime", SEEN),
        ("createContainer", SEEN),
        ("startContainer", "/out"),
        ("poststart", SEEN),
        ("poststop", SEEN),
    ];
    let mut spec = Spec::docker().args(&["true"]);
    for (point, dir) in points {
        // The last is the directory that is listed.
        let script = format!("ls /proc/self/fd > {dir}/{point}");
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script]});
        spec = spec.push(&format!("/hooks/{point}"), hook);
    }
    let bundle = Bundle::new(&host, ID, spec);
    runtime.run(&bundle).ok();
    for (point, dir) in points {
        let path = match dir {
            SEEN => format!("{SEEN}/{point}").into(),
            dir => bundle.in_rootfs(dir).join(point),
        };
        let files = host.inside(|| fs::read_to_string(path)).unwrap().unwrap();
        assert_eq!(files, "0\n1\n2\n3\n", "{point}");
    }
}

/// Kubernetes allows 256 KiB of annotations, and execve(2) 128 KiB of a variable.
#[test]
fn hooks_can_be_told_more_than_a_variable_can_hold() {
    let Some(host) = host() else { return };
    let script = format!("wc -c >> {SEEN}/size");
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script, "x".repeat(100_000)]});
    let mut spec = Spec::docker().annotation("org.example.long", &"a".repeat(300_000));
    for point in ["prestart", "createRuntime", "createContainer", "poststart"] {
        spec = spec.push(&format!("/hooks/{point}"), hook.clone());
    }
    Runtime::under_test(&host)
        .run(&Bundle::new(&host, ID, spec))
        .ok();
    let sizes = host.inside(|| fs::read_to_string(format!("{SEEN}/size")));
    let sizes = sizes.unwrap().unwrap();
    let sizes: Vec<usize> = sizes
        .lines()
        .map(|size| size.trim().parse().unwrap())
        .collect();
    assert_eq!(sizes.len(), 4);
    assert!(sizes.iter().all(|size| *size > 300_000), "{sizes:?}");
}

#[test]
fn hooks_of_a_point_run_in_their_order_and_prestart_before_create_runtime() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let note = |word: &str| {
        let script = format!("echo {word} >> {SEEN}/order");
        json!({"path": "/bin/sh", "args": ["sh", "-c", script]})
    };
    let spec = Spec::docker()
        .push("/hooks/createContainer", note("5"))
        .push("/hooks/createRuntime", note("3"))
        .push("/hooks/createRuntime", note("4"))
        .push("/hooks/prestart", note("1"))
        .push("/hooks/prestart", note("2"));
    runtime.run(&Bundle::new(&host, ID, spec)).ok();
    let order = host.inside(|| fs::read_to_string(format!("{SEEN}/order")));
    assert_eq!(order.unwrap().unwrap(), "1\n2\n3\n4\n5\n");
}

#[test]
fn a_failure_says_which_hook_it_was_and_what_that_printed() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let fails = json!({
        "path": "/bin/sh", "args": ["sh", "-c", "echo said out; echo said err >&2; exit 3"],
    });
    for point in [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
    ] {
        let spec = Spec::docker()
            .args(&["sleep", "1000"])
            .push(&format!("/hooks/{point}"), json!({"path": "/bin/true"}))
            .push(&format!("/hooks/{point}"), fails.clone());
        let outcome = runtime.run(&Bundle::new(&host, ID, spec));
        assert_ne!(outcome.code, 0, "{outcome}");
        let says = format!(
            "error running {point} hook #1: exit status 3, stdout: said out\n, stderr: said err\n"
        );
        assert!(outcome.stderr.contains(&says), "{outcome}");
        assert_eq!(runtime.call(&["list", "-q"]).ok(), "", "{point}");
    }
}

#[test]
fn a_hook_that_takes_too_long_is_killed() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let slow = json!({"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1});
    for point in [
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
    ] {
        let spec = Spec::docker()
            .args(&["sleep", "1000"])
            .push(&format!("/hooks/{point}"), slow.clone());
        let outcome = runtime.run(&Bundle::new(&host, ID, spec));
        assert_ne!(outcome.code, 0, "{outcome}");
        let says =
            format!("error running {point} hook #0: hook ran past specified timeout of 1.0s");
        assert!(outcome.stderr.contains(&says), "{outcome}");
    }
}

/// runc's order: a hook makes the network device that a kernel parameter is about, and puts
/// files where the container can only read, or not look.
#[test]
fn kernel_parameters_and_protected_paths_come_after_the_hooks_of_create() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    for point in ["prestart", "createRuntime", "createContainer"] {
        // Each can see the container's files: by its init's root, or in its mount namespace.
        let script = "rootfs=$1; state=$(cat); pid=$(echo $state | sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); \
             case $2 in createContainer) ;; *) rootfs=/proc/$pid/root$rootfs ;; esac; \
             echo 1 > $rootfs/protected/written && cat $rootfs/hidden/file > /run/seen/hidden";
        let spec = Spec::docker()
            .set("/linux/sysctl", json!({"net.ipv4.ip_forward": "1"}))
            .set("/linux/readonlyPaths", json!(["/protected"]))
            .set("/linux/maskedPaths", json!(["/hidden"]))
            .sh(
                "cat /protected/written; echo 2 > /protected/written || ls /hidden; \
                 cat /proc/sys/net/ipv4/ip_forward",
            );
        let rootfs = format!("/run/bundles/{point}/rootfs");
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script, "sh", rootfs, point]});
        let spec = spec.push(&format!("/hooks/{point}"), hook);
        let bundle = Bundle::new(&host, point, spec);
        let rootfs = bundle.in_rootfs("/");
        let made = host.inside(|| {
            fs::create_dir(rootfs.join("protected"))?;
            fs::create_dir(rootfs.join("hidden"))?;
            fs::write(rootfs.join("hidden/file"), point)
        });
        made.unwrap().unwrap();
        assert_eq!(runtime.run(&bundle).ok(), "1\n1\n", "{point}");
        let seen = host.inside(|| fs::read_to_string("/run/seen/hidden"));
        assert_eq!(seen.unwrap().unwrap(), point);
    }
}
