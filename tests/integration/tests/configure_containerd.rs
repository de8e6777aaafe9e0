//! What containerd makes of a config.toml that `amd-ctk runtime configure` edited.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use integration::binary::runtime_under_test;
use integration::configure::configure;
use integration::host::{Cgroups, SimulatedHost};
use integration::mi300x::{self, listing, nodes};
use integration::outcome::Outcome;
use integration::probe::{self, SHELL};
use integration::runtime::eventually;
use integration::{require, rootfs};

const CONFIG: &str = "/etc/containerd/config.toml";

/// A host with what `containerd config default` prints as its configuration, and that text.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
fn host() -> Option<(SimulatedHost, String)> {
    if !require::programs(&["containerd", "ctr", "busybox"]) {
        return None;
    }
    let host = require::host(mi300x::PRESET, Cgroups::V1)?;
    let default = containerd(&host, &["config", "default"]);
    // On the host's tmpfs: /var/lib may be an overlay, which overlayfs does not go on.
    let config = default.replace("/var/lib/containerd", "/run/containerd-root");
    host.inside(|| {
        fs::create_dir_all("/etc/containerd")?;
        fs::write(CONFIG, &config)
    })
    .unwrap()
    .unwrap();
    Some((host, config))
}

#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
fn containerd(host: &SimulatedHost, words: &[&str]) -> String {
    let mut command = Command::new(require::find("containerd").unwrap());
    Outcome::of(host, command.args(words)).unwrap().ok()
}

/// The settings that containerd comes to.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
fn dump(host: &SimulatedHost) -> toml::Table {
    containerd(host, &["config", "dump"]).parse().unwrap()
}

/// The table of the CRI plugin with the runtimes.
#[track_caller]
#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
fn cri(settings: &mut toml::Table) -> &mut toml::Table {
    let plugins = settings["plugins"].as_table_mut().unwrap();
    let name = ["io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"]
        .into_iter()
        .find(|name| plugins.contains_key(*name))
        .unwrap();
    plugins[name]["containerd"].as_table_mut().unwrap()
}

#[test]
fn containerd_reads_the_runtime_and_nothing_else_is_new() {
    let Some((host, _)) = host() else { return };
    let mut before = dump(&host);
    configure(&host, "containerd", &["--set-as-default"]).ok();
    let mut after = dump(&host);
    let cri_after = cri(&mut after);
    assert_eq!(cri_after["default_runtime_name"].as_str(), Some("amd"));
    let mut added = cri_after["runtimes"]
        .as_table_mut()
        .unwrap()
        .remove("amd")
        .unwrap();
    let options = added["options"].as_table_mut().unwrap();
    let program = options.insert("BinaryName".to_owned(), "".into());
    let expected = runtime_under_test().unwrap();
    assert_eq!(program.unwrap().as_str(), expected.to_str());
    // With the program of runc, it is runc's entry, and the rest is what it was.
    assert_eq!(added, cri(&mut before)["runtimes"]["runc"]);
    cri(&mut after).insert("default_runtime_name".to_owned(), "runc".into());
    assert_eq!(after, before);
}

#[test]
fn containerd_reads_the_runtime_from_a_file_without_a_version() {
    for config in ["", "disabled_plugins = []\n"] {
        let Some((host, _)) = host() else { return };
        host.inside(|| fs::write(CONFIG, config)).unwrap().unwrap();
        configure(&host, "containerd", &["--set-as-default"]).ok();
        let mut settings = dump(&host);
        let cri = cri(&mut settings);
        assert_eq!(cri["default_runtime_name"].as_str(), Some("amd"));
        let program = &cri["runtimes"]["amd"]["options"]["BinaryName"];
        assert_eq!(program.as_str(), runtime_under_test().unwrap().to_str());
        // The one that containerd brings is still there.
        assert!(cri["runtimes"].get("runc").is_some());
    }
}

/// A containerd that runs until it is dropped.
struct Daemon<'h> {
    host: &'h SimulatedHost,
    process: Child,
}

#[allow(clippy::unwrap_used, reason = "a fixture that fails ends its test")]
impl<'h> Daemon<'h> {
    #[track_caller]
    fn start(host: &'h SimulatedHost) -> Self {
        let mut containerd = Command::new(require::find("containerd").unwrap());
        containerd.stdout(Stdio::null()).stderr(Stdio::null());
        let process = host.spawn(&mut containerd).unwrap();
        let daemon = Self { host, process };
        eventually("containerd answers", || daemon.ctr(&["version"]).code == 0);
        daemon
    }

    fn ctr(&self, words: &[&str]) -> Outcome {
        Outcome::of(self.host, Command::new("ctr").args(words)).unwrap()
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // Its shims end with the host.
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait()) {
            eprintln!("containerd: {error}");
        }
    }
}

#[test]
fn the_cri_plugin_starts_with_our_runtime_as_default() {
    let Some((host, _)) = host() else { return };
    configure(&host, "containerd", &["--set-as-default", "--enable-cdi"]).ok();
    let plugins = Daemon::start(&host).ctr(&["plugins", "ls"]).ok();
    let cri = plugins.lines().find(|line| line.contains(" cri "));
    assert!(
        cri.is_some_and(|line| line.trim_end().ends_with("ok")),
        "{plugins}"
    );
}

#[test]
fn the_cri_plugin_starts_where_ours_is_the_only_runtime_in_the_file() {
    for version in ["", "version = 2\n"] {
        let Some((host, _)) = host() else { return };
        let config = format!("{version}root = \"/run/containerd-root\"\n");
        host.inside(|| fs::write(CONFIG, config)).unwrap().unwrap();
        configure(&host, "containerd", &[]).ok();
        let plugins = Daemon::start(&host).ctr(&["plugins", "ls"]).ok();
        let cri = plugins.lines().find(|line| line.contains(" cri "));
        assert!(
            cri.is_some_and(|line| line.trim_end().ends_with("ok")),
            "{plugins}"
        );
    }
}

#[test]
fn a_container_runs_by_the_shim_and_the_program_that_were_configured() {
    let Some((host, _)) = host() else { return };
    configure(&host, "containerd", &["--runtime-name", "gpu"]).ok();
    let mut settings = dump(&host);
    let runtime = &cri(&mut settings)["runtimes"]["gpu"];
    let shim = runtime["runtime_type"].as_str().unwrap();
    let program = runtime["options"]["BinaryName"].as_str().unwrap();
    let rootfs = "/run/rootfs";
    host.inside(|| rootfs::create(Path::new(rootfs)))
        .unwrap()
        .unwrap();
    let daemon = Daemon::start(&host);
    let cgroup = format!("{}/ctr", host.cgroup());
    let script = format!("{SHELL}gpus");
    let seen = daemon.ctr(&[
        "run",
        "--rm",
        "--runtime",
        shim,
        "--runc-binary",
        program,
        "--env",
        "PATH=/bin",
        "--cgroup",
        &cgroup,
        "--env",
        "AMD_VISIBLE_DEVICES=0,1",
        "--rootfs",
        rootfs,
        "box",
        "sh",
        "-c",
        &script,
    ]);
    assert_eq!(listing(&probe::parse(&seen.ok())), nodes(&[0, 1]));
}

#[test]
fn removal_gives_back_containerds_own_default_configuration() {
    let Some((host, before)) = host() else { return };
    configure(&host, "containerd", &["--set-as-default", "--enable-cdi"]).ok();
    configure(&host, "containerd", &["--remove"]).ok();
    let after = host.inside(|| fs::read_to_string(CONFIG)).unwrap().unwrap();
    assert_eq!(after, before);
}
