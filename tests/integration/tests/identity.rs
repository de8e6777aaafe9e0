//! Who a process of a container is: its user, its groups, its user namespace, its home.

use std::fs;
use std::path::Path;
use std::process::Command;

use integration::bundle::Bundle;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x;
use integration::outcome::Outcome;
use integration::require;
use integration::runtime::Runtime;
use integration::spec::Spec;
use serde_json::json;

const ID: &str = "c";

fn host() -> Option<SimulatedHost> {
    require::host(mi300x::PRESET, Cgroups::V1)
}

#[test]
fn an_executed_process_is_in_the_containers_user_namespace() {
    let Some(host) = host() else { return };
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    let spec = Spec::docker()
        .args(&["sleep", "1000"])
        .without_mount("/sys/fs/cgroup")
        .push("/linux/namespaces", json!({"type": "user"}))
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map);
    let runtime = Runtime::under_test(&host);
    runtime.up(&Bundle::new(&host, ID, spec));
    let script = "for ns in user pid mnt net ipc uts; do \
                  test $(readlink /proc/1/ns/$ns) = $(readlink /proc/self/ns/$ns) || echo $ns; \
                  done";
    assert_eq!(runtime.exec(ID, &["sh", "-c", script]).ok(), "");
    let script = "id -u; awk '{print $2}' /proc/self/uid_map";
    for user in ["0", "1000"] {
        let words = ["exec", "--user", user, ID, "sh", "-c", script];
        assert_eq!(runtime.call(&words).ok(), format!("{user}\n100000\n"));
    }
    // Nor has it rights on what is the host's.
    let words = [
        "exec",
        ID,
        "sh",
        "-c",
        "echo x > /proc/sys/kernel/domainname",
    ];
    assert_ne!(runtime.call(&words).code, 0);
}

/// As with `docker run --network container:OTHER` where users are remapped. libcontainer joins
/// the user namespace first, and then may not join another's.
#[test]
fn a_container_with_a_user_namespace_can_join_namespaces_of_another() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let sleeper = Spec::docker().args(&["sleep", "1000"]);
    runtime.up(&Bundle::new(&host, "other", sleeper.clone()));
    let other = runtime.state("other")["pid"].clone();
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    // Those of the runtime, and of the host's first process.
    let script = "for ns in net uts; do \
        test $(readlink /proc/self/ns/$ns) = $(readlink /proc/1/ns/$ns) && echo $ns; \
        done > /run/of_hook";
    let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", script]});
    let namespaces: Vec<_> = [("network", "net"), ("ipc", "ipc"), ("uts", "uts")]
        .map(|(kind, name)| json!({"type": kind, "path": format!("/proc/{other}/ns/{name}")}))
        .into_iter()
        .chain(["mount", "pid", "user"].map(|kind| json!({"type": kind})))
        .collect();
    // Of what is mounted these depend on the namespaces' owner.
    let spec = ["/sys/fs/cgroup", "/sys", "/dev/mqueue"]
        .iter()
        .fold(sleeper, |spec, mount| spec.without_mount(mount))
        .set("/linux/namespaces", json!(namespaces))
        .set("/linux/uidMappings", map.clone())
        .set("/linux/gidMappings", map)
        .push("/hooks/createRuntime", hook);
    runtime.up(&Bundle::new(&host, ID, spec));

    let script = "for ns in net ipc uts; do readlink /proc/self/ns/$ns; done";
    let of = |id: &str| runtime.exec(id, &["sh", "-c", script]).ok();
    assert_eq!(of(ID), of("other"));
    let of_hook = host.inside(|| fs::read_to_string("/run/of_hook"));
    assert_eq!(of_hook.unwrap().unwrap(), "net\nuts\n");
}

/// A shared library that leaves a file when it is loaded.
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn library() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (source, library) = (dir.path().join("l.c"), dir.path().join("l.so"));
    fs::write(
        &source,
        "#include <fcntl.h>\n#include <unistd.h>\n\
         __attribute__((constructor)) static void loaded(void)\n\
         { close(open(\"/out/loaded\", O_CREAT | O_WRONLY, 0666)); }\n",
    )
    .unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source);
    assert!(cc.status().unwrap().success());
    fs::read(library).unwrap()
}

#[test]
fn no_library_of_the_image_is_loaded_to_find_a_home() {
    let Some(host) = host() else { return };
    if !require::programs(&["cc"]) {
        return;
    }
    let spec = Spec::docker().user(4321, 4321).args(&["sleep", "1000"]);
    let bundle = Bundle::new(&host, ID, spec);
    let library = library();
    let put = |path: &str, bytes: &[u8]| {
        let path = bundle.in_rootfs(path);
        host.inside(|| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
        })
        .unwrap();
    };
    put("/etc/nsswitch.conf", b"passwd: evil\ngroup: evil\n");
    for dir in [
        "lib",
        "usr/lib",
        "lib64",
        "lib/x86_64-linux-gnu",
        "usr/lib/x86_64-linux-gnu",
    ] {
        put(&format!("/{dir}/libnss_evil.so.2"), &library);
    }
    let runtime = Runtime::under_test(&host);
    runtime.up(&bundle);
    assert_eq!(runtime.exec(ID, &["sh", "-c", "echo $HOME"]).ok(), "/\n");
    assert!(
        bundle.read("/out/loaded").is_err(),
        "the image's library was loaded"
    );
}

#[test]
fn a_home_is_what_the_images_passwd_says_and_never_waited_for() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let home = |bundle: &Bundle<'_>| runtime.run(bundle).ok();
    let spec = |uid| Spec::docker().user(uid, uid).sh("echo $HOME");
    let bundle = Bundle::new(&host, ID, spec(77));
    let passwd = bundle.in_rootfs("/etc/passwd");
    host.inside(|| fs::write(&passwd, "x:x:77:77::/home/x:/bin/sh\n"))
        .unwrap()
        .unwrap();
    assert_eq!(home(&bundle), "/home/x\n");
    let bundle = Bundle::new(&host, ID, spec(77));
    let fifo = format!("rm {0} && mkfifo {0}", passwd.display());
    Outcome::of(&host, Command::new("sh").args(["-c", &fifo]))
        .unwrap()
        .ok();
    assert_eq!(home(&bundle), "/\n");
}

#[test]
fn an_id_that_means_none_is_refused() {
    let Some(host) = host() else { return };
    let runtime = Runtime::under_test(&host);
    let outcome = runtime.run(&Bundle::new(&host, ID, Spec::docker().user(u32::MAX, 0)));
    assert!(outcome.fails(1).contains("4294967295"));
    let spec = Spec::docker().args(&["sleep", "1000"]);
    runtime.up(&Bundle::new(&host, ID, spec));
    let outcome = runtime.call(&["exec", "--user", "4294967295", ID, "id", "-u"]);
    assert!(outcome.fails(255).contains("4294967295"));
}

/// Runs the runtime as an engine that is in groups of its own.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a test stands on it")]
fn with_groups(host: &SimulatedHost, runtime: &Runtime<'_>, words: &[&str]) -> Outcome {
    let command = runtime.command(words);
    let mut setpriv = Command::new("setpriv");
    setpriv
        .args(["--groups", "4242,4343"])
        .arg(command.get_program())
        .args(command.get_args());
    Outcome::of(host, &mut setpriv).unwrap()
}

#[test]
fn the_engines_groups_are_not_the_containers_unless_it_says_so() {
    let Some(host) = host() else { return };
    if !require::programs(&["setpriv"]) {
        return;
    }
    let runtime = Runtime::under_test(&host);
    let groups = "grep Groups: /proc/1/status /proc/self/status | awk '{$1=\"\"; print}'";
    for (keep, gids, expected) in [
        ("0", json!([]), "\n\n"),
        ("0", json!([7, 8]), " 7 8\n 7 8\n"),
        ("1", json!([]), " 4242 4343\n 4242 4343\n"),
    ] {
        let spec = Spec::docker()
            .args(&["sleep", "1000"])
            .annotation("run.oci.keep_original_groups", keep)
            .set("/process/user/additionalGids", gids);
        let bundle = Bundle::new(&host, ID, spec);
        let path: &Path = bundle.path();
        let create = ["create", "--bundle", path.to_str().unwrap(), ID];
        with_groups(&host, &runtime, &create).ok();
        runtime.start(ID).ok();
        let exec = ["exec", ID, "sh", "-c", groups];
        assert_eq!(
            with_groups(&host, &runtime, &exec).ok(),
            expected,
            "keep {keep}"
        );
        runtime.call(&["delete", "--force", ID]).ok();
    }
}
