//! `amd-ctk doctor`: container engines

mod doctor_host;
mod support;

use std::env;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use doctor_host::{assert_check, check, doctor, of_json, program};
use support::Host;

#[test]
fn every_engine_is_seen_to_know_what_configure_wrote() {
    for (engine, daemon, file) in [
        ("docker", "dockerd", "/etc/docker/daemon.json"),
        ("containerd", "containerd", "/etc/containerd/config.toml"),
        ("crio", "crio", "/etc/crio/crio.conf.d/99-amd.conf"),
        (
            "podman",
            "podman",
            "/etc/containers/containers.conf.d/99-amd.conf",
        ),
    ] {
        let host = Host::bare();
        program(&host, &format!("/usr/sbin/{daemon}"));
        program(&host, "/usr/bin/amd-container-runtime");
        let unknown = format!("/usr/sbin/{daemon} does not know the runtime");
        assert_check(&host, engine, "warn", &unknown);
        let configured = host.amd_ctk(&[
            "runtime",
            "configure",
            "--runtime",
            engine,
            "--runtime-name",
            "gpus",
            "--runtime-path",
            "/usr/bin/amd-container-runtime",
        ]);
        assert_eq!(configured.code, Some(0), "{}", configured.stderr);
        let known = format!("runtime gpus in {file} is /usr/bin/amd-container-runtime");
        assert_check(&host, engine, "pass", &known);
        host.remove("/usr/bin/amd-container-runtime");
        assert_check(
            &host,
            engine,
            "fail",
            &format!("{known}, which is no program"),
        );
    }
}

#[test]
fn a_containerd_drop_in_counts_where_it_is_imported() {
    let host = Host::bare();
    program(&host, "/usr/bin/containerd");
    program(&host, "/opt/amd/amd-container-runtime");
    host.file(
        "/etc/containerd/conf.d/99-amd.toml",
        "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.amd.options]\n\
         BinaryName = '/opt/amd/amd-container-runtime'\n",
    );
    host.file("/etc/containerd/config.toml", "version = 3\n");
    let unknown = "/usr/bin/containerd does not know the runtime";
    assert_check(&host, "containerd", "warn", unknown);
    host.file(
        "/etc/containerd/config.toml",
        "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n",
    );
    let known = "runtime amd in /etc/containerd/conf.d/99-amd.toml is \
                 /opt/amd/amd-container-runtime";
    assert_check(&host, "containerd", "pass", known);
}

#[test]
fn a_configuration_that_is_broken_fails_with_its_place() {
    let host = Host::bare();
    program(&host, "/usr/bin/dockerd");
    host.file("/etc/docker/daemon.json", "{\n  \"runtimes\": {\n");
    let (status, detail, hint) = check(&host, "docker");
    assert_eq!(status, "fail");
    assert!(detail.starts_with("/etc/docker/daemon.json: "), "{detail}");
    assert!(!hint.is_empty());
}

#[test]
fn a_check_that_could_not_run_is_told_from_one_that_failed() {
    let host = Host::bare();
    program(&host, "/usr/bin/dockerd");
    fs::create_dir_all(host.path().join("etc/docker/daemon.json")).unwrap();
    let (status, detail, _) = check(&host, "docker");
    assert_eq!(status, "could_not_run");
    assert!(
        detail.starts_with("cannot read /etc/docker/daemon.json: "),
        "{detail}"
    );
    let run = doctor(&host);
    assert_eq!(run.stderr, "error: failed: gpu; could not run: docker\n");
    assert_eq!(run.code, Some(1));
}

#[test]
fn an_engine_that_hangs_does_not_keep_doctor_waiting() {
    // Engines are asked on their own host alone, which is this one.
    let tools = Host::bare();
    let pid = tools.path().join("pid");
    program(&tools, "/bin/podman");
    let script = format!("#!/bin/sh\necho $$ >{}\nexec sleep 300\n", pid.display());
    fs::write(tools.path().join("bin/podman"), script).unwrap();
    let path = format!(
        "{}/bin:{}",
        tools.path().display(),
        env::var("PATH").unwrap_or_default()
    );
    let began = Instant::now();
    let run = support::program()
        .args(["doctor", "--format", "json"])
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "{:?}",
        began.elapsed()
    );
    let (status, detail, hint) = of_json(&String::from_utf8(run.stdout).unwrap(), "cdi-engines");
    assert_eq!(status, "warn");
    assert!(
        detail.contains("podman does not tell its version"),
        "{detail}"
    );
    assert_eq!(hint, "`podman --version` should say it at once");
    let pid = fs::read_to_string(pid).unwrap();
    assert!(
        !Path::new("/proc").join(pid.trim()).exists(),
        "it was killed"
    );
}
