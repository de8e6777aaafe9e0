//! `amd-ctk runtime configure --runtime containerd`: which file it edits

#![allow(clippy::unwrap_used, reason = "a fixture may panic")]

mod engine_host;

use engine_host::Host;

const CONFIG: &str = "etc/containerd/config.toml";
const DROP_IN: &str = "etc/containerd/conf.d/99-amd.toml";
const IMPORTING: &str = "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n\
    [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]\n\
    runtime_type = 'io.containerd.runc.v2'\noptions = { SystemdCgroup = true }\n";

fn host(version: &str, config: &str) -> Host {
    let host = Host::new();
    host.containerd(version);
    host.file(CONFIG, config);
    host
}

fn configure(host: &Host, options: &[&str]) -> String {
    host.configured(&[&["--runtime", "containerd"], options].concat())
}

#[test]
fn a_drop_in_is_written_where_containerd_merges_it() {
    let host = host("2.1.4", IMPORTING);
    configure(&host, &["--set-as-default"]);
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
         # <<< amd-ctk: runtime amd\n\
         # >>> amd-ctk: default\n\
         [plugins.\"io.containerd.cri.v1.runtime\".containerd]\n\
         default_runtime_name = \"amd\"\n\
         # <<< amd-ctk: default\n"
    );
}

#[test]
fn a_containerd_that_replaces_sections_gets_an_edit_of_config_toml() {
    let host = host("2.0.5", IMPORTING);
    configure(&host, &[]);
    assert!(!host.path(DROP_IN).exists());
    assert!(host.read(CONFIG).starts_with(IMPORTING.trim_end()));
}

#[test]
fn config_toml_is_edited_where_it_imports_nothing() {
    for config in ["version = 2\n", "version = 3\n", "version = 4\n"] {
        let host = host("2.3.0", config);
        configure(&host, &[]);
        assert!(!host.path(DROP_IN).exists());
        assert!(host.read(CONFIG).contains("BinaryName"));
    }
}

#[test]
fn a_drop_in_is_removed_even_if_it_is_imported_no_more() {
    let host = host("2.1.4", IMPORTING);
    let before = host.files();
    configure(&host, &["--set-as-default"]);
    host.file(CONFIG, "version = 3\n");
    configure(&host, &["--remove"]);
    assert!(!host.path(DROP_IN).exists());
    host.file(CONFIG, IMPORTING);
    assert_eq!(host.files(), before);
}

#[test]
fn removal_after_an_upgrade_takes_out_both_the_edit_and_the_drop_in() {
    let host = host("2.0.5", IMPORTING);
    let before = host.files();
    configure(&host, &[]);
    host.containerd("2.1.4");
    configure(&host, &[]);
    assert!(host.path(DROP_IN).exists());
    configure(&host, &["--remove"]);
    host.containerd("2.0.5");
    assert_eq!(host.files(), before);
}

#[test]
fn a_config_path_is_the_file_that_is_edited() {
    let host = host("2.1.4", IMPORTING);
    let path = host.path(CONFIG);
    configure(&host, &["--config-path", path.to_str().unwrap()]);
    assert!(host.read(CONFIG).contains("BinaryName"));
    assert!(!host.path(DROP_IN).exists());
}

#[test]
fn removal_where_the_version_is_not_ours_to_edit_finds_nothing_to_do() {
    let host = host("1.7.27", "disabled_plugins = [\"cri\"]\n");
    let before = host.files();
    assert_eq!(configure(&host, &["--remove"]), "nothing to change\n");
    let output = host.configure(&["--runtime", "containerd"]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("the configuration has no version"),
        "{stderr}"
    );
    assert_eq!(host.files(), before);
}

#[test]
fn a_disabled_cri_plugin_is_a_note_to_who_configures_it() {
    let host = host(
        "1.7.27",
        "version = 2\ndisabled_plugins = ['io.containerd.grpc.v1.cri']\n",
    );
    for (options, noted) in [(&[][..], true), (&["--remove"], false)] {
        let output = host.configure(&[&["--runtime", "containerd"], options].concat());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(stderr.starts_with("note: "), noted, "{stderr}");
        assert!(output.status.success());
    }
}
