//! `amd-ctk runtime configure --runtime containerd`: which file it edits

#![allow(clippy::unwrap_used, reason = "a fixture may panic")]

mod engine_host;

use std::path::Path;

use amd_ctk::config_file::ConfigFile;
use amd_ctk::engines::containerd::{self, DropIn};
use amd_ctk::engines::{Request, Settings};
use engine_host::Host;

const CONFIG: &str = "etc/containerd/config.toml";
const DROP_IN: &str = "etc/containerd/conf.d/99-amd.toml";
const IMPORTING: &str = "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n\
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n\
    runtime_type = 'io.containerd.runc.v2'\noptions = { SystemdCgroup = true }\n";

const PROGRAM: &str = "/usr/bin/amd-container-runtime";

fn host(config: &str) -> Host {
    let host = Host::new();
    host.file(CONFIG, config);
    host
}

fn settings(default: bool) -> Request {
    Request::Configure(Settings {
        name: "amd".to_owned(),
        path: PROGRAM.to_owned(),
        default,
        cdi: false,
        swarm: Vec::new(),
    })
}

fn removal() -> Request {
    Request::Remove {
        name: "amd".to_owned(),
        path: PROGRAM.to_owned(),
    }
}

/// As the command does on a host with a containerd of this version.
#[track_caller]
fn with(version: (u32, u32), host: &Host, request: &Request) {
    let main = ConfigFile::read_below(host.root(), Path::new(containerd::CONFIG)).unwrap();
    let plan = containerd::plan(host.root(), main, DropIn::Version(version), request);
    plan.unwrap().carry_out().unwrap();
}

fn configure(host: &Host, options: &[&str]) -> String {
    host.configured(&[&["--runtime", "containerd"], options].concat())
}

#[test]
fn a_drop_in_is_written_where_containerd_merges_it() {
    let host = host(IMPORTING);
    with((2, 1), &host, &settings(true));
    assert_eq!(host.read(CONFIG), IMPORTING);
    assert_eq!(
        host.read(DROP_IN),
        "# Made by `amd-ctk runtime configure`; its --remove deletes it again.\n\
         version = 3\n\
         \n\
         # >>> amd-ctk: runtime amd\n\
         [plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.amd]\n\
         runtime_type = \"io.containerd.runc.v2\"\n\
         \n\
         [plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.amd.options]\n\
         SystemdCgroup = true\n\
         BinaryName = \"/usr/bin/amd-container-runtime\"\n\
         # checksum: bd9d8b0e\n\
         # <<< amd-ctk: runtime amd\n\
         # >>> amd-ctk: default\n\
         [plugins.\"io.containerd.cri.v1.runtime\".containerd]\n\
         default_runtime_name = \"amd\"\n\
         # <<< amd-ctk: default\n"
    );
}

#[test]
fn a_containerd_that_replaces_sections_gets_an_edit_of_config_toml() {
    let host = host(IMPORTING);
    with((2, 0), &host, &settings(false));
    assert!(!host.path(DROP_IN).exists());
    assert!(host.read(CONFIG).starts_with(IMPORTING.trim_end()));
}

#[test]
fn config_toml_is_edited_where_it_imports_nothing() {
    for config in ["version = 2\n", "version = 3\n", "version = 4\n"] {
        let host = host(config);
        with((2, 3), &host, &settings(false));
        assert!(!host.path(DROP_IN).exists());
        assert!(host.read(CONFIG).contains("BinaryName"));
    }
}

#[test]
fn a_drop_in_is_removed_even_if_it_is_imported_no_more() {
    let host = host(IMPORTING);
    let before = host.files();
    with((2, 1), &host, &settings(true));
    host.file(CONFIG, "version = 3\n");
    configure(&host, &["--remove"]);
    assert!(!host.path(DROP_IN).exists());
    host.file(CONFIG, IMPORTING);
    assert_eq!(host.files(), before);
}

#[test]
fn removal_after_an_upgrade_takes_out_both_the_edit_and_the_drop_in() {
    let host = host(IMPORTING);
    let before = host.files();
    with((2, 0), &host, &settings(false));
    with((2, 1), &host, &settings(false));
    assert!(host.path(DROP_IN).exists());
    with((2, 1), &host, &removal());
    assert_eq!(host.files(), before);
}

#[test]
fn a_config_path_is_the_file_that_is_edited() {
    let host = host(IMPORTING);
    let path = host.path(CONFIG);
    configure(&host, &["--config-path", path.to_str().unwrap()]);
    assert!(host.read(CONFIG).contains("BinaryName"));
    assert!(!host.path(DROP_IN).exists());
}

#[test]
fn the_containerd_of_this_machine_says_nothing_of_another_host() {
    let host = host(IMPORTING);
    host.containerd("2.1.4");
    configure(&host, &[]);
    assert!(host.read(CONFIG).contains("BinaryName"));
    assert!(!host.path(DROP_IN).exists());
}

#[test]
fn removal_where_the_version_is_not_ours_to_edit_finds_nothing_to_do() {
    let host = host("version = 9\n");
    let before = host.files();
    assert_eq!(configure(&host, &["--remove"]), "nothing to change\n");
    let output = host.configure(&["--runtime", "containerd"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("known are 1 to 4\nhint: "), "{stderr}");
    assert_eq!(host.files(), before);
}

#[test]
fn a_default_of_a_drop_in_that_is_imported_comes_back() {
    let main = "version = 3\nimports = ['/etc/containerd/more/*.toml']\n\
        [plugins.'io.containerd.cri.v1.runtime'.containerd]\ndefault_runtime_name = 'nvidia'\n";
    let host = host(main);
    let nvidia = "version = 2\n\
        [plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.nvidia]\n";
    host.file("etc/containerd/more/nvidia.toml", nvidia);
    let before = host.files();
    configure(&host, &["--set-as-default"]);
    configure(&host, &["--remove"]);
    assert_eq!(host.files(), before);
}

#[test]
fn a_disabled_cri_plugin_is_a_note_to_who_configures_it() {
    for config in [
        "version = 2\ndisabled_plugins = ['io.containerd.grpc.v1.cri']\n",
        "disabled_plugins = ['cri']\n",
    ] {
        let host = host(config);
        for (options, noted) in [(&[][..], true), (&["--remove"], false)] {
            let output = host.configure(&[&["--runtime", "containerd"], options].concat());
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(
                stderr.contains("so Kubernetes does not see this runtime"),
                noted,
                "{stderr}"
            );
            assert!(output.status.success());
        }
        assert_eq!(host.read(CONFIG), config);
    }
}
